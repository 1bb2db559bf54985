"""Deliveries whose fate nobody knows, until a person has found out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from notifyguard import clock, conf, database, patterns
from notifyguard.actor import Actor, Permission
from notifyguard.decision import State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import deeds, leases, rows, statements
from notifyguard.models import Delivery

BATCH = 1_000
"""Deliveries that are resolved in one transaction, so that none is long."""


_LOOKED_UP = 400
"""Deliveries of one query: its parameters have to fit."""


class Finding(Enum):
    """What a person found out, and the state that the delivery ends in."""

    SENT = State.SENT
    NOT_SENT = State.FAILED
    GIVE_UP = State.EXPIRED


_SAID = {
    Finding.SENT: "It was sent",
    Finding.NOT_SENT: "It was not sent",
    Finding.GIVE_UP: "Given up, its fate is not known",
}


def uncertain() -> QuerySet[Delivery, Delivery]:
    """Return the uncertain deliveries, the oldest first."""
    return leases.waiting().filter(state=State.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which uncertain deliveries are meant.

    Attributes:
        pattern: their notification types.
        older_than: only those whose message was sent before this time.
        newer_than: only those whose message was sent at this time or later.
        instance: only those of instances whose name begins so, such as a host's.
    """

    pattern: str = "*"
    older_than: datetime | None = None
    newer_than: datetime | None = None
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.pattern} of {self.instance}" if self.instance else self.pattern


class Uncertain(NamedTuple):
    """What must be known of an uncertain delivery to find out what became of it."""

    id: UUID
    type: str
    recipient: str
    message_id: str
    created_at: datetime
    changed_at: datetime


def chosen(choice: Choice) -> Iterator[Uncertain]:
    """Yield the uncertain deliveries that are meant, the oldest first."""
    found = _narrowed(choice).values_list(*Uncertain._fields).iterator()
    for row in map(Uncertain._make, found):
        # Matched here, since no database knows our globs, and some ignore case.
        if patterns.matches(choice.pattern, row.type):
            yield row


def count(choice: Choice) -> int:
    """Return how many are meant, by our word as in ``chosen``, and none of them in memory."""
    types = _narrowed(choice).values_list("type", flat=True).iterator()
    return sum(patterns.matches(choice.pattern, type) for type in types)


def _narrowed(choice: Choice) -> QuerySet[Delivery, Delivery]:
    found = uncertain()
    if choice.older_than:
        found = found.filter(created_at__lt=choice.older_than)
    if choice.newer_than:
        found = found.filter(created_at__gte=choice.newer_than)
    if choice.instance:
        found = found.filter(instance__startswith=choice.instance)
    return found


def namesakes(meant: Sequence[Uncertain]) -> dict[UUID, set[State]]:
    """Return the states of other deliveries to the same recipient under the same Message-ID.

    A project may write a Message-ID of its own, and the same one twice; a log then does
    not say which of them it means.
    """
    found: dict[UUID, set[State]] = {}
    for start in range(0, len(meant), _LOOKED_UP):
        chunk = meant[start : start + _LOOKED_UP]
        named: dict[tuple[str, str], list[tuple[UUID, State]]] = {}
        others = rows.deliveries(database.connection()).filter(
            recipient__in={each.recipient for each in chunk},
            message_id__in={each.message_id for each in chunk},
            state__in=(State.SENT, State.FAILED, State.IN_FLIGHT, State.UNCERTAIN),
        )
        for row in others.values_list("recipient", "message_id", "id", "state"):
            named.setdefault(row[:2], []).append((row[2], State(row[3])))
        for each in chunk:
            same = named.get((each.recipient, each.message_id), [])
            found[each.id] = {state for other, state in same if other != each.id}
    return found


def resolve_many(
    found: Sequence[tuple[UUID, str]], finding: Finding, *, subject: str, reason: str, actor: Actor
) -> Iterator[int]:
    """Write down what became of many uncertain deliveries.

    Lazy, one transaction and one event for each batch: whoever stops in the middle has
    resolved only what was yielded. What is no longer uncertain is left alone: late
    evidence, or somebody else, has had the word.

    Args:
        found: each delivery, and what is to be added to its reason.
        finding: what was found out.
        subject: what was chosen, in the operator's words; for the event.
        reason: where and how.
        actor: who.

    Yields:
        How many deliveries of a batch were resolved, once it is committed.

    Raises:
        NotAllowed: the reason or the permission is missing.
    """
    reason = deeds.accountable(reason, actor, Permission.RESOLVE_UNCERTAIN)
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        yield database.retrying(partial(_resolve_batch, batch, finding, subject, reason, actor))


def resolve(ids: Sequence[UUID], finding: Finding, *, reason: str, actor: Actor) -> int:
    """Write down what became of uncertain deliveries: all of them, or none.

    ``NOT_SENT`` frees the key, so that the message can be sent again; the two
    others keep it taken. A delivery whose lease ran out may be resolved before
    the sweeper has called it uncertain.

    Args:
        ids: the deliveries.
        finding: what the person found out.
        reason: where and how.
        actor: who.

    Returns:
        How many deliveries were resolved.

    Raises:
        NotAllowed: a delivery is not uncertain, or reason or permission is missing.
    """
    reason = deeds.accountable(reason, actor, Permission.RESOLVE_UNCERTAIN)

    def write() -> int:
        with database.short_transaction():
            for delivery in sorted(set(ids)):
                _resolve_one(delivery, finding, reason, actor)
        return len(set(ids))

    return database.retrying(write)


def _resolve_one(delivery: UUID, finding: Finding, reason: str, actor: Actor) -> None:
    if not _end(delivery, finding, f"{actor}: {reason}"):
        found = rows.deliveries(database.connection()).filter(id=delivery)
        raise NotAllowed(_refusal(delivery, found.first()))
    _record(str(delivery), finding, reason, actor, 1)


def _resolve_batch(
    batch: Sequence[tuple[UUID, str]], finding: Finding, subject: str, reason: str, actor: Actor
) -> int:
    with database.short_transaction():
        ended = sum(
            _end(delivery, finding, f"{actor}: {reason}{f' ({said})' if said else ''}")
            for delivery, said in sorted(batch)
        )
        _record(subject, finding, reason, actor, ended)
    return ended


def _end(delivery: UUID, finding: Finding, why: str) -> bool:
    connection = database.connection()
    found = rows.deliveries(connection).filter(id=delivery)
    changed = found.filter(_open_to_findings()).update(
        state=finding.value,
        rule="resolved",
        reason=f"{_SAID[finding]}, by {why}"[:500],
        changed_at=clock.now(connection),
        wake_at=None,
    )
    row = found.first() if changed else None
    if row is None:
        return False
    if finding is Finding.NOT_SENT:
        rows.free(connection, [rows.entry_of(row)])
    statements.drop_if_done(connection, row.dispatch)
    return True


def _record(subject: str, finding: Finding, reason: str, actor: Actor, count: int) -> None:
    deeds.record(
        "resolve",
        subject[:200],
        reason=reason,
        actor=actor,
        before=State.UNCERTAIN,
        after=finding.value,
        count=count,
    )


def _open_to_findings() -> Q:
    now = clock.now(database.connection())
    lapsed = Q(wake_at__lte=now) | Q(
        wake_at__isnull=True, changed_at__lt=now - timedelta(seconds=conf.current().lease)
    )
    return Q(state=State.UNCERTAIN) | Q(state=State.IN_FLIGHT) & lapsed


def _refusal(delivery: UUID, row: Delivery | None) -> str:
    if row is None:
        return f"There is no delivery {delivery}. Nothing was resolved."
    if row.state == State.IN_FLIGHT:
        return f"Delivery {delivery} is being handed over right now. Nothing was resolved."
    return f"Delivery {delivery} is {row.state}, not uncertain. Nothing was resolved."
