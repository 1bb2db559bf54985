"""The schedule: what is kept until it is due, who waits for what, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet

from notifyguard import clock, conf, database, hold, switchboard
from notifyguard.decision import State
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import key_of
from notifyguard.models import Delivery

MISSED_AFTER = timedelta(minutes=10)
"""How late a scheduled message may come before its type's ``on_missed`` has a say."""

_NOT_LEFT = (State.QUEUED, State.CLAIMED, State.HELD)
_DUE_OR_LEFT = (
    *(State.QUEUED, State.CLAIMED, State.IN_FLIGHT),
    *(State.SENT, State.UNCERTAIN),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """Scheduled deliveries of one type.

    Attributes:
        type: the notification type.
        count: how many.
        first: when the first is due.
        last: when the last is due.
    """

    type: str
    count: int
    first: datetime
    last: datetime


def planned() -> QuerySet[Delivery, Delivery]:
    """Return the deliveries that wait for their time, those first that are due first."""
    now = clock.now(database.connection())
    found = rows.deliveries(database.connection()).filter(rows.asleep(now), is_planned(now))
    return found.order_by("due_at", "id")


def is_planned(now: datetime) -> Q:
    """Return the condition that rows which wait do so for their time, and for nobody else."""
    return Q(state=State.QUEUED, wake_at__gt=now, due_at__isnull=False, due_at__gt=now)


def planned_by_type() -> list[Planned]:
    """Count the deliveries that wait for their time, by type."""
    counted = planned().order_by("type").values_list("type")
    found = counted.annotate(count=Count("id"), first=Min("due_at"), last=Max("due_at"))
    return [Planned(*each) for each in found]


def is_overtaken(type: str, recipient: str, due_at: datetime, dispatch: UUID) -> bool:
    """Tell whether a later scheduled message of the type to the recipient is due, or has left.

    Args:
        type: its notification type.
        recipient: the normalised address.
        due_at: when it was due, as the ledger stores times.
        dispatch: its message; of those that were due at one time the last by this id is
            the latest.
    """
    now = clock.now(database.connection())
    later = Q(due_at__gt=due_at) | Q(due_at=due_at, dispatch__gt=dispatch)
    others = rows.deliveries(database.connection()).filter(
        later,
        recipient=recipient,
        type=type,
        scheduled=True,
        due_at__range=(due_at, now),
        state__in=_DUE_OR_LEFT,
    )
    return others.exists()


def cancel(type: str, key: str) -> int:
    """Take back every delivery of a message that is kept and has not left; free its key.

    What a switch holds is taken back too, or it would leave when it is released.

    Args:
        type: its notification type.
        key: its idempotency key.

    Returns:
        How many deliveries were taken back.
    """
    salt = switchboard.board().salt
    dispatches = hold.dispatches(key_of(salt, conf.current().current_namespace(), type, key))
    return database.retrying(partial(_cancel, dispatches)) if dispatches else 0


def _cancel(dispatches: Sequence[UUID]) -> int:
    found = rows.deliveries(database.connection()).filter(
        dispatch__in=dispatches, state__in=_NOT_LEFT
    )
    waiting = [rows.entry_of(row) for row in found.order_by("id")]
    with database.short_transaction() as connection:
        now = clock.now(connection)
        # Whatever its attempt: it may be released this moment. A new one, so that a
        # sweeper that has just taken the row has lost it.
        cancelled = [
            entry
            for entry in waiting
            if rows.deliveries(connection)
            .filter(id=entry.id, state__in=_NOT_LEFT)
            .update(
                state=State.DISCARDED,
                attempt=F("attempt") + 1,
                rule="cancelled",
                reason="The code that sent it took it back.",
                changed_at=now,
                wake_at=None,
            )
        ]
        rows.free(connection, cancelled)
        for dispatch in dispatches:
            statements.drop_if_done(connection, dispatch)
    return len(cancelled)
