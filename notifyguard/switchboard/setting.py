"""Setting the switches: in one transaction with the generation and the event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from notifyguard import clock, database, patterns
from notifyguard.actor import Actor, Permission
from notifyguard.decision import Sending
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Event, Switch
from notifyguard.notification import MAX_TYPE_LENGTH
from notifyguard.switchboard.control import change_generation
from notifyguard.switchboard.reading import forget
from notifyguard.switchboard.rulings import EVERYTHING


def set_switch(
    pattern: str,
    sending: Sending,
    *,
    reason: str,
    actor: Actor,
    everything: bool = False,
    expires_at: datetime | None = None,
) -> None:
    """Set a switch; when this returns, no hand-over of what it stops begins any more.

    Args:
        pattern: the notification types meant; ``"*"`` for all but critical ones.
        sending: the new position.
        reason: why.
        actor: who.
        everything: critical types too, whatever the pattern says.
        expires_at: when the switch ends by itself; a must for ``discard``.

    Raises:
        NotAllowed: a permission, a reason or the expiry is missing, the expiry is past, or
            the pattern cannot be used.
        DatabaseError: the ledger cannot be written; nothing changed.
    """
    actor.must_have(Permission.SET_SWITCHES)
    _check(pattern, sending, reason, expires_at)
    values = {
        "sending": sending.value,
        "reason": reason.strip()[:500],
        "author": actor.name,
        "expires_at": expires_at,
    }

    def write(at: datetime) -> tuple[str, str]:
        switches = Switch.objects.using(database.alias())
        named = "*" if everything else pattern
        before = switches.filter(pattern=named, everything=everything).first()
        switches.update_or_create(
            defaults={**values, "set_at": at}, pattern=named, everything=everything
        )
        return (before.sending if before else "", sending.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, actor, write)


def clear_switch(pattern: str, *, reason: str, actor: Actor, everything: bool = False) -> bool:
    """Take a switch away, so that its types are open again. Nothing held is released.

    Args:
        pattern: the pattern as it was set.
        reason: why.
        actor: who.
        everything: the kill switch is meant, not the pattern.

    Returns:
        Whether there was such a switch.

    Raises:
        NotAllowed: the permission or the reason is missing.
    """
    actor.must_have(Permission.SET_SWITCHES)
    _check_reason(reason)
    named = "*" if everything else pattern
    switches = Switch.objects.using(database.alias()).filter(pattern=named, everything=everything)
    if not switches.exists():
        return False

    def write(at: datetime) -> tuple[str, str]:
        before = switches.first()
        switches.delete()
        return (before.sending if before else "", Sending.OPEN.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, actor, write)
    return True


def record_event(
    action: str,
    subject: str,
    *,
    actor: str,
    reason: str = "",
    before: str = "",
    after: str = "",
    count: int | None = None,
) -> None:
    """Append what a person did, in the transaction of the deed itself."""
    Event.objects.using(database.alias()).create(
        at=clock.now(database.connection()),
        actor=actor[:150],
        action=action,
        subject=subject[:200],
        before=before,
        after=after,
        count=count,
        reason=reason.strip()[:500],
    )


def _flip(
    action: str,
    subject: str,
    reason: str,
    actor: Actor,
    write: Callable[[datetime], tuple[str, str]],
) -> None:
    """Change the switches and the generation in one transaction.

    The update of the control row waits for every mark that is under way and makes
    every later one see the new generation: that is what "stopped" rests on.
    """

    def flip() -> None:
        with database.short_transaction() as connection:
            at = clock.now(connection)
            change_generation(connection)
            before, after = write(at)
            record_event(
                action, subject, actor=actor.name, reason=reason, before=before, after=after
            )

    database.retrying(flip)
    forget()


def _check(pattern: str, sending: Sending, reason: str, expires_at: datetime | None) -> None:
    _check_reason(reason)
    if fix := patterns.fault(pattern):
        raise NotAllowed(f"{pattern!r} is not a pattern of types. {fix}")
    if len(pattern) > MAX_TYPE_LENGTH:
        raise NotAllowed(f"The pattern has {len(pattern)} characters; {MAX_TYPE_LENGTH} fit.")
    if pattern == EVERYTHING:
        raise NotAllowed("'everything' is the kill switch, not a type: use --everything.")
    if sending is Sending.DISCARD and expires_at is None:
        raise NotAllowed(
            "A switch to discard needs an expiry (--until): a forgotten one loses mail for ever."
        )
    if expires_at is not None and expires_at <= clock.now(database.connection()):
        raise NotAllowed(f"The switch would have ended already, at {expires_at:%Y-%m-%d %H:%M}.")


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise NotAllowed("A switch needs a reason: whoever looks at 2 a.m. must know why.")
