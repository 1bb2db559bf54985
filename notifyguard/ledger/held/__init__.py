"""Held messages: what waits, and dropping it. Letting it go is ``releases``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, F, Max, Min, QuerySet

from notifyguard import clock, conf, database, patterns, switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.decision import State
from notifyguard.ledger import deeds, statements
from notifyguard.ledger.held.ahead import Ahead
from notifyguard.ledger.held.choice import EVERYTHING, Choice, Held, Meant, chosen, filtered, meant
from notifyguard.models import Delivery
from notifyguard.switchboard import Ruling

__all__ = [
    "EVERYTHING",
    "Choice",
    "Group",
    "Held",
    "Meant",
    "Totals",
    "chosen",
    "discard",
    "groups",
    "groups_of",
    "meant",
    "stopped",
    "totals",
]

BATCH = 1_000
"""Rows that are discarded in one transaction, so that none is long."""


COUNTS: Mapping[str, Any] = {
    "deliveries": Count("id"),
    "messages": Count("dispatch", distinct=True),
    "people": Count("recipient", distinct=True),
    "oldest": Min("created_at"),
    "newest": Max("created_at"),
}
"""What is counted of held deliveries, all but the bytes: ``statements.kept_bytes``."""


class Totals(NamedTuple):
    """How much is held.

    Attributes:
        deliveries: how many, one for each message and recipient.
        messages: of how many messages.
        people: to how many different recipients.
        bytes: of the messages as they are kept, each counted once.
        oldest: when the first of them was sent; ``None`` if there is none.
        newest: when the last of them was sent.
    """

    deliveries: int
    messages: int
    people: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None


class Group(NamedTuple):
    """What is held of one type by one rule; counted as ``Totals``.

    Attributes:
        type: the notification type.
        rule: what held it.
    """

    type: str
    rule: str
    deliveries: int
    messages: int
    people: int
    bytes: int
    oldest: datetime
    newest: datetime


def groups(choice: Choice = EVERYTHING) -> list[Group]:
    """Count what is meant by type and rule. The limit of the choice has no meaning here."""
    return [
        group
        for group in _grouped(filtered(choice))
        if patterns.matches(choice.pattern, group.type)
        and (not choice.rules or group.rule in choice.rules)
    ]


def groups_of(what: Meant) -> list[Group]:
    """Count what a choice meant, and is still held, by type and rule."""
    return _grouped(what.rows())


def totals(what: Meant) -> Totals:
    """Count what a choice meant and is still held, as a whole."""
    found = what.rows()
    (size,) = statements.kept_bytes(database.connection(), found.values("dispatch")).values() or [0]
    counted = found.aggregate(**COUNTS)
    return Totals(**counted, bytes=size)


def stopped(types: Iterable[str]) -> Mapping[str, Ruling]:
    """Return which of the types are stopped by the present switches, and by what."""
    board, settings = switchboard.board(fresh=True), conf.current()
    rulings = {type: board.ruling(type, settings) for type in types}
    return {type: ruling for type, ruling in rulings.items() if ruling is not None}


def discard(what: Meant, *, reason: str, actor: Actor) -> Iterator[int]:
    """Discard what is meant. Keys stay taken; ``prune`` drops the bodies later.

    Lazy, one transaction and one event for each batch: whoever stops in the middle has
    discarded only what was yielded, and goes on by doing it again.

    Args:
        what: what was meant when the operator was shown it.
        reason: why.
        actor: who.

    Yields:
        How many deliveries of a batch were discarded, once it is committed.

    Raises:
        NotAllowed: the reason or the permission is missing.
    """
    reason = deeds.accountable(reason, actor, Permission.DISCARD_HELD)
    return _discarded(what, reason, actor)


def _grouped(found: QuerySet[Delivery, Delivery]) -> list[Group]:
    keys = ("type", "rule")
    sizes = statements.kept_bytes(
        database.connection(), found.order_by().values(*keys, "dispatch"), *keys
    )
    counted = found.order_by(*keys).values(*keys).annotate(**COUNTS)
    return [Group(**each, bytes=sizes.get((each["type"], each["rule"]), 0)) for each in counted]


def _discarded(what: Meant, reason: str, actor: Actor) -> Iterator[int]:
    ahead, last = Ahead(what), None
    while page := ahead.next(last, BATCH):
        last = page[-1].id
        ids = [row.id for row in what.matching(page)]
        yield database.retrying(partial(_discard, what, ids, reason, actor))


def _discard(what: Meant, ids: Sequence[UUID], reason: str, actor: Actor) -> int:
    with database.short_transaction() as connection:
        count = what.untouched(ids).update(
            state=State.DISCARDED,
            # A new attempt: whoever still works on the row under the old one has lost it.
            attempt=F("attempt") + 1,
            rule="discarded",
            reason=f"By {actor}: {reason}"[:500],
            changed_at=clock.now(connection),
            wake_at=None,
        )
        deeds.record(
            "discard_held",
            str(what.choice)[:200],
            reason=reason,
            actor=actor,
            before=State.HELD,
            after=State.DISCARDED,
            count=count,
        )
    return count
