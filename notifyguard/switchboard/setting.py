"""Setting the switches: in one transaction with the generation and the event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db.models import QuerySet

from notifyguard import clock, database, patterns
from notifyguard.actor import Actor, Permission
from notifyguard.decision import Sending
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Event, Switch
from notifyguard.notification import MAX_TYPE_LENGTH
from notifyguard.switchboard.control import change_generation
from notifyguard.switchboard.reading import forget
from notifyguard.switchboard.rulings import EVERYTHING

REASON_FOLLOWS = "Stopped at once; the reason follows."
"""The reason of a switch until its author has given one."""


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
        NotAllowed: a permission, a reason or the expiry is missing, the expiry is past or too far
            away, or the pattern cannot be used.
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
        switches = _named(pattern, everything)
        before = switches.first()
        if not switches.update(**values, set_at=at):
            named = "*" if everything else pattern
            switches.create(pattern=named, everything=everything, set_at=at, **values)
        return (before.sending if before else "", sending.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, actor, write)


def stop(pattern: str, *, actor: Actor, everything: bool = False) -> bool:
    """Hold the types at once, without a word: the reason is asked for when they stand still.

    What is held already stays as it was set, with its author and reason.

    Args:
        pattern: the notification types meant; ``"*"`` for all but critical ones.
        actor: who.
        everything: critical types too, whatever the pattern says.

    Returns:
        Whether this stopped something: ``False`` when they were held by this switch already.

    Raises:
        NotAllowed: the permission is missing, or the pattern cannot be used.
        DatabaseError: the ledger cannot be written; nothing changed.
    """
    actor.must_have(Permission.SET_SWITCHES)
    _check_pattern(pattern)
    before = find(pattern, everything=everything)
    if before is not None and before.sending == Sending.HOLD and not _is_over(before.expires_at):
        return False
    set_switch(pattern, Sending.HOLD, reason=REASON_FOLLOWS, actor=actor, everything=everything)
    return True


def give_reason(pattern: str, *, reason: str, actor: Actor, everything: bool = False) -> None:
    """Say why a switch was set, as an event of its own; the switch stays as it is.

    Args:
        pattern: the pattern as it was set.
        reason: why.
        actor: who says it.
        everything: the kill switch is meant, not the pattern.

    Raises:
        NotAllowed: the permission or the reason is missing, or there is no such switch.
    """
    actor.must_have(Permission.SET_SWITCHES)
    _check_reason(reason)

    def write(at: datetime) -> tuple[str, str]:
        switches = _named(pattern, everything)
        switch = switches.first()
        if switch is None:
            raise NotAllowed(f"There is no switch for {pattern} any more.")
        switches.update(reason=reason.strip()[:500])
        return switch.sending, switch.sending

    # A new generation, so that every process says the reason of what it holds from now on.
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
    if find(pattern, everything=everything) is None:
        return False

    def write(at: datetime) -> tuple[str, str]:
        switches = _named(pattern, everything)
        before = switches.first()
        switches.delete()
        return (before.sending if before else "", Sending.OPEN.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, actor, write)
    return True


def find(pattern: str, *, everything: bool = False) -> Switch | None:
    """Return the switch that was set for this very pattern, if there is one.

    Args:
        pattern: as it was set.
        everything: the kill switch is meant, not the pattern.
    """
    return _named(pattern, everything).first()


def check_end(expires_at: datetime | None) -> None:
    """Refuse an end at which nothing could end.

    Args:
        expires_at: when a switch or a block ends by itself; ``None`` for never.

    Raises:
        NotAllowed: it is past, or later than any database can tell.
    """
    if expires_at is None:
        return
    if _is_over(expires_at):
        raise NotAllowed(f"It would have ended already, at {expires_at:%Y-%m-%d %H:%M}.")
    # West of Greenwich the end of 9999 is no date in UTC any more: PostgreSQL stores it, and
    # a switch that cannot be read back stops all mail and cannot be taken away.
    if expires_at >= clock.never():
        raise NotAllowed(f"Its end, {expires_at:%Y-%m-%d}, is too far away; name an earlier one.")


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


def _named(pattern: str, everything: bool) -> QuerySet[Switch, Switch]:
    named, found = "*" if everything else pattern, Switch.objects.using(database.alias())
    # Compared here, since some databases ignore case and accents.
    alike = found.filter(pattern=named, everything=everything)
    return found.filter(pk__in=[switch.pk for switch in alike if switch.pattern == named])


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
    _check_pattern(pattern)
    if sending is Sending.DISCARD and expires_at is None:
        raise NotAllowed(
            "A switch to discard needs an expiry (--until): a forgotten one loses mail for ever."
        )
    check_end(expires_at)


def _check_pattern(pattern: str) -> None:
    if fix := patterns.fault(pattern):
        raise NotAllowed(f"{pattern!r} is not a pattern of types. {fix}")
    if len(pattern) > MAX_TYPE_LENGTH:
        raise NotAllowed(f"The pattern has {len(pattern)} characters; {MAX_TYPE_LENGTH} fit.")
    if pattern == EVERYTHING:
        raise NotAllowed("'everything' is the kill switch, not a type: use --everything.")


def _is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= clock.now(database.connection())


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise NotAllowed("A switch needs a reason: whoever looks at 2 a.m. must know why.")
