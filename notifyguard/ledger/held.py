"""Held messages: which are meant, and what a person does with them.

What was counted is what is moved: the rows are chosen once, and rows that are
held later, or that somebody else has moved meanwhile, are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, Value, When

from notifyguard import clock, conf, database, patterns, switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.decision import State
from notifyguard.ledger import deeds, leases
from notifyguard.models import Delivery
from notifyguard.switchboard import Ruling

BATCH = 1_000
"""Rows that are moved in one transaction, so that none is long."""

PAGE = 2_000
"""Rows that are read at a time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which held deliveries are meant.

    Attributes:
        pattern: their notification types.
        rules: the rules that held them; empty for any.
        older_than: only those whose message was sent before this time.
        newer_than: only those whose message was sent at this time or later.
        limit: at most so many, the oldest first.
        ids: only these deliveries; empty for any.
    """

    pattern: str = "*"
    rules: tuple[str, ...] = ()
    older_than: datetime | None = None
    newer_than: datetime | None = None
    limit: int | None = None
    ids: tuple[UUID, ...] = ()

    def __str__(self) -> str:
        if self.ids:
            return ", ".join(map(str, self.ids))
        return f"{self.pattern} ({', '.join(self.rules)})" if self.rules else self.pattern


class Held(NamedTuple):
    """What must be known of a held delivery to decide on it."""

    id: UUID
    dispatch: UUID
    type: str
    rule: str
    recipient: str
    subject: str
    created_at: datetime
    wake_at: datetime


class Group(NamedTuple):
    """What is held of one type by one rule.

    Attributes:
        type: the notification type.
        rule: what held it.
        deliveries: how many, one for each message and recipient.
        messages: of how many messages.
        people: to how many different recipients.
        oldest: when the first of them was sent.
        newest: when the last of them was sent.
    """

    type: str
    rule: str
    deliveries: int
    messages: int
    people: int
    oldest: datetime
    newest: datetime


def chosen(choice: Choice) -> Iterator[Held]:
    """Yield the held deliveries that are meant, the oldest first.

    A page at a time: however many are held, few are in memory.
    """
    matching = (
        row
        for row in _pages(_filtered(choice))
        # Matched here, since no database knows our globs, and some ignore case.
        if patterns.matches(choice.pattern, row.type)
        and (not choice.rules or row.rule in choice.rules)
    )
    return islice(matching, choice.limit)


def groups(choice: Choice = Choice()) -> list[Group]:
    """Count what is meant by type and rule. The limit of the choice has no meaning here."""
    counted = (
        _filtered(choice)
        .order_by("type", "rule")
        .values("type", "rule")
        .annotate(
            deliveries=Count("id"),
            messages=Count("dispatch", distinct=True),
            people=Count("recipient", distinct=True),
            oldest=Min("created_at"),
            newest=Max("created_at"),
        )
        .values_list(*Group._fields)
    )
    return [
        group
        for group in map(Group._make, counted)
        if patterns.matches(choice.pattern, group.type)
        and (not choice.rules or group.rule in choice.rules)
    ]


def stopped(types: Iterable[str]) -> Mapping[str, Ruling]:
    """Return which of the types are stopped by the present switches, and by what."""
    board, settings = switchboard.board(fresh=True), conf.current()
    rulings = {type: board.ruling(type, settings) for type in types}
    return {type: ruling for type, ruling in rulings.items() if ruling is not None}


def release(
    ids: Sequence[UUID], *, subject: str, reason: str, actor: Actor
) -> Iterator[Sequence[UUID]]:
    """Queue held messages; the sweeper delivers what no switch stops.

    Lazy, one transaction and one event for each batch: whoever stops in the
    middle has released only what was yielded.

    Args:
        ids: the deliveries, as chosen.
        subject: what was chosen, in the operator's words; for the event.
        reason: why.
        actor: who.

    Yields:
        The deliveries of a batch, once it is committed.

    Raises:
        NotAllowed: the reason or the permission is missing.
    """
    reason = deeds.accountable(reason, actor, Permission.RELEASE_HELD)
    # A conflict keeps its own derived key, so that it is still released only once.
    return _in_batches("release", ids, State.QUEUED, subject=subject, reason=reason, actor=actor)


def discard_held(
    ids: Sequence[UUID], *, subject: str, reason: str, actor: Actor
) -> Iterator[Sequence[UUID]]:
    """Discard held messages. Their keys stay taken; ``prune`` drops their bodies later.

    Arguments, what it yields and raises: as ``release``.
    """
    reason = deeds.accountable(reason, actor, Permission.DISCARD_HELD)
    return _in_batches(
        "discard_held", ids, State.DISCARDED, subject=subject, reason=reason, actor=actor
    )


def _waiting() -> QuerySet[Delivery, Delivery]:
    # Out of what waits, which has an index; the state has none.
    return leases.waiting().filter(state=State.HELD)


def _filtered(choice: Choice) -> QuerySet[Delivery, Delivery]:
    """Return what is held, by those parts of a choice that a database understands as we do."""
    found = _waiting()
    if choice.older_than:
        found = found.filter(created_at__lt=choice.older_than)
    if choice.newer_than:
        found = found.filter(created_at__gte=choice.newer_than)
    if choice.ids:
        found = found.filter(id__in=choice.ids)
    return found


def _pages(rows: QuerySet[Delivery, Delivery]) -> Iterator[Held]:
    """Yield the rows in the order of their ids, which is that of time.

    Sorted by ``wake_at`` first, which is the same for all that is held, so that no
    database walks along the primary key, through every message ever sent. Keyset
    pages and no cursor of the server: poolers lose one, and MariaDB's reads all.
    """
    ordered = rows.order_by("wake_at", "id").values_list(*Held._fields)
    page = [Held._make(row) for row in ordered[:PAGE]]
    while page:
        yield from page
        last = page[-1]
        behind = Q(wake_at__gt=last.wake_at) | Q(wake_at=last.wake_at, id__gt=last.id)
        following = ordered.filter(behind, wake_at__gte=last.wake_at)
        page = [Held._make(row) for row in following[:PAGE]] if len(page) == PAGE else []


def _in_batches(
    action: str, ids: Sequence[UUID], state: State, *, subject: str, reason: str, actor: Actor
) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]

        def move(batch: Sequence[UUID] = batch) -> None:
            with database.short_transaction():
                count = _move(batch, state, f"By {actor}: {reason}")
                deeds.record(
                    action,
                    subject,
                    reason=reason,
                    actor=actor,
                    before=State.HELD,
                    after=state,
                    count=count,
                )

        database.retrying(move)
        yield batch


def _move(batch: Sequence[UUID], state: State, why: str) -> int:
    now = clock.now(database.connection())
    # A new attempt, so that whoever still works on the row under the old one has lost it.
    return (
        _waiting()
        .order_by()
        .filter(id__in=batch)
        .update(
            # Who releases what is shown as late wants it to leave: it is due now.
            # First, since MariaDB assigns one after the other, and the rule changes.
            due_at=Case(When(rule__in=["stale", "missed"], then=Value(now)), default=F("due_at")),
            state=state,
            attempt=F("attempt") + 1,
            rule="released" if state is State.QUEUED else "discarded",
            reason=why[:500],
            changed_at=now,
            wake_at=now if state is State.QUEUED else None,
        )
    )
