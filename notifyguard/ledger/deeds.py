"""What a person does to the ledger: never without a reason and a name."""

from __future__ import annotations

from notifyguard import switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.exceptions import NotAllowed


def accountable(reason: str, actor: Actor, permission: Permission) -> str:
    """Return the reason without the spaces around it.

    Raises:
        NotAllowed: the reason is blank, or the actor lacks the permission.
    """
    actor.must_have(permission)
    reason = reason.strip()
    if not reason:
        raise NotAllowed("Give a reason: whoever looks at 2 a.m. must know why.")
    return reason


def record(
    action: str, subject: str, *, reason: str, actor: Actor, before: str, after: str, count: int
) -> None:
    """Append the event of a deed that changed rows, in the transaction of the deed."""
    if count:
        switchboard.record_event(
            action,
            subject,
            actor=actor.name,
            reason=reason,
            before=str(before),
            after=str(after),
            count=count,
        )


def record_suppression(pattern: str, command: str, *, reason: str, actor: Actor) -> None:
    """Append the event of a command that is about to run and notifies nobody.

    Before it runs, so that it is on record however the command ends. Only its name:
    what follows may be a secret.

    Raises:
        NotAllowed: the reason or the permission is missing.
    """
    reason = accountable(reason, actor, Permission.SET_SWITCHES)
    switchboard.record_event(
        "suppress", pattern, actor=actor.name, reason=reason, after=f"while {command[:180]} runs"
    )
