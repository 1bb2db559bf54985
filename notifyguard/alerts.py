"""Alerts: somebody is told that mail is held; for each type and rule, not for each mail.

The process that holds tells at once, the sweeper sums up the rest. What is said
holds counts, types and commands, never an address, a subject or a body.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from shlex import quote

from django.core.mail import mail_admins
from django.db import transaction
from django.utils import timezone

from notifyguard import caps, clock, context, database
from notifyguard.database import Standing
from notifyguard.ledger import alerts
from notifyguard.ledger.alerts import Pair, Untold
from notifyguard.models import Alert
from notifyguard.signals import capped, held

logger = logging.getLogger("notifyguard")

QUIET = 10
"""Seconds for which a process does not ask again about the same type and rule."""

LISTED = 50
"""Types and rules that one mail names."""

_EVERYTHING: Pair = ("", "")
_quiet_until: dict[Pair, float] = {}


def after_holding(pairs: Iterable[Pair]) -> None:
    """Tell that this process holds messages, once they are committed; raise nothing.

    Args:
        pairs: types and rules of what is held.
    """
    news = frozenset(filter(_is_due, pairs))
    if news:
        _once_committed(partial(_tell, news))


def after_discarding(types: Iterable[str]) -> None:
    """Tell that messages are discarded since there is no room to hold them; raise nothing.

    Args:
        types: of these messages.
    """
    for type in {each for each in types if _is_due((each, caps.RULE))}:
        _once_committed(partial(_tell_of_cap, type))


def sum_up() -> None:
    """Tell of everything that is held and that nobody was told of; for the sweeper."""
    if _is_due(_EVERYTHING):
        _tell(None)


def _is_due(pair: Pair) -> bool:
    return time.monotonic() >= _quiet_until.get(pair, 0)


def _once_committed(tell: Callable[[], None]) -> None:
    with _harmless():
        if database.standing() is not Standing.CALLER:
            tell()
        elif database.connection().in_atomic_block:
            # A rollback takes back what is held or discarded, and the news of it.
            transaction.on_commit(tell, using=database.alias(), robust=True)


def _tell_of_cap(type: str) -> None:
    _quiet_until[type, caps.RULE] = time.monotonic() + QUIET
    with _harmless():
        if not alerts.take_window(type, caps.RULE):
            return
        logger.critical("notifyguard: mail of type %s is discarded: its cap is reached", type)
        capped.send_robust(Alert, type=type)
        _mail(
            f"notifyguard discards mail: no room for more {type}",
            _CAP.format(type=type, what=quote(type)),
        )


def _tell(pairs: Collection[Pair] | None) -> None:
    for pair in pairs or [_EVERYTHING]:
        _quiet_until[pair] = time.monotonic() + QUIET
    with _harmless():
        if alerts.untold(pairs) and alerts.take_turn():
            # Before it is counted: what is held while the mail is under way is news later.
            counted_at = clock.now(database.connection())
            # Everything: with a turn for each type the last of many would wait for ever.
            _send(alerts.untold(), counted_at)


@contextmanager
def _harmless() -> Iterator[None]:
    """Log whatever is raised inside: who sends a mail must not suffer from an alert."""
    try:
        yield
    except Exception as error:
        # Its name alone: what a server or database says may hold addresses.
        logger.error("notifyguard: could not send an alert: %s", type(error).__name__)


def _send(groups: Sequence[Untold], counted_at: datetime) -> None:
    """Tell by log, signal and mail; written down last, so that a crash repeats it at worst."""
    if not groups:
        return
    for group in groups:
        logger.warning(
            "notifyguard: mail of type %s is held by rule %s: %d wait, %d of them new",
            *(group.type, group.rule, group.waiting, group.fresh),
        )
        held.send_robust(Alert, **group._asdict())
    _mail(_subject(groups), _body(groups), supersedes="held")
    if alerts.is_stopped(counted_at):
        # Nobody has read it: told again, until one leaves.
        alerts.put_off()
    else:
        alerts.told(groups, counted_at)


def _mail(subject: str, body: str, supersedes: str | None = None) -> None:
    """Mail the admins, by a type of its own: other mail to them must not use its limits up."""
    with context.unsaid(), context.notification(alerts.ALERTS, supersedes=supersedes):
        mail_admins(subject, body)


def _subject(groups: Sequence[Untold]) -> str:
    fresh = sum(group.fresh for group in groups)
    of = groups[0].type if len(groups) == 1 else f"{len(groups)} kinds"
    return f"notifyguard holds mail: {fresh} new of {of}"


def _body(groups: Sequence[Untold]) -> str:
    listed = "\n".join(_paragraph(group) for group in groups[:LISTED])
    left = len(groups) - LISTED
    more = f"\n… and {left} more kinds.\n" if left > 0 else ""
    return _TEXT.format(listed=listed, more=more)


def _paragraph(group: Untold) -> str:
    what = quote(group.type)
    return _GROUP.format(
        **group._asdict() | {"oldest": _in_utc(group.oldest)},
        release=f"manage.py notifyguard release {what} --rule {quote(group.rule)}",
        discard=f"manage.py notifyguard discard-held {what} --rule {quote(group.rule)}",
    )


def _in_utc(at: datetime) -> str:
    aware = at if timezone.is_aware(at) else timezone.make_aware(at)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_CAP = """\
As much mail of the type {type} is kept as its caps allow (max_held, max_held_bytes). What
would be held of it from now on is discarded: recorded, but its text is not kept, and it cannot
be released. Critical types are never discarded for this.

Make room:
  look:    manage.py notifyguard held {what}
  let go:  manage.py notifyguard release {what} --all-rules --reason "..."
  discard: manage.py notifyguard discard-held {what} --all-rules --reason "..."
           its text is kept for some days more, until: manage.py notifyguard prune
or raise the cap: NOTIFYGUARD["TYPES"]["{type}"]["max_held"]

What was discarded for it: manage.py notifyguard status --since 1h
The next alert on this type comes in an hour at the earliest.
"""
_GROUP = """\
{type}, held by rule {rule}
  deliveries that wait: {waiting}, new since the last alert: {fresh}, the oldest from {oldest}
  let go:  {release} --reason "..."
  discard: {discard} --reason "..."
"""
_TEXT = """\
Mail is held back and waits for somebody to decide. Nothing of it is lost.

{listed}{more}
Look first: manage.py notifyguard held

The next alert on the same type and rule comes in an hour at the earliest; on what a
person has stopped, by a switch or by ALLOW_RECIPIENTS, in a day.
"""
