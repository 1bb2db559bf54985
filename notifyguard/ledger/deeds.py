"""What a person does to the ledger: never without a reason and a name."""

from __future__ import annotations

from notifyguard import switchboard
from notifyguard.exceptions import NotAllowed


def accountable(reason: str, actor: str) -> tuple[str, str]:
    """Return reason and actor without the spaces around them.

    Raises:
        NotAllowed: one of them is blank.
    """
    reason, actor = reason.strip(), actor.strip()
    if not reason:
        raise NotAllowed("Give a reason: whoever looks at 2 a.m. must know why.")
    if not actor:
        raise NotAllowed("Say who does this.")
    return reason, actor


def record(
    action: str, subject: str, *, reason: str, actor: str, before: str, after: str, count: int
) -> None:
    """Append the event of a deed that changed rows, in the transaction of the deed."""
    if count:
        switchboard.record_event(
            action,
            subject,
            actor=actor,
            reason=reason,
            before=str(before),
            after=str(after),
            count=count,
        )


def record_suppression(pattern: str, command: str, *, reason: str, actor: str) -> None:
    """Append the event of a command that is about to run and notifies nobody.

    Before it runs, so that it is on record however the command ends. Only its name:
    what follows may be a secret.
    """
    reason, actor = accountable(reason, actor)
    switchboard.record_event(
        "suppress", pattern, actor=actor, reason=reason, after=f"while {command[:180]} runs"
    )
