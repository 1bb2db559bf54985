"""Messages that were handed on to a queue, until they come back to be sent.

Their rows are ``queued``, and not for our sweeper; ``came_back`` says what is next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import transaction

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.ledger import rows
from notifyguard.ledger.entry import Entry

RULE = rows.HANDED_ON
PATIENCE = timedelta(days=7)
"""For so long a queue may keep a message before somebody should look."""

_LOST = "The queue has not come back with it for 7 days. If it does, it is sent then."


def hand_on(entries: Sequence[Entry], queue: str) -> None:
    """Write that a queue took marked entries; nothing where they came back already.

    Args:
        entries: of one dispatch, ``in_flight``; they get the state their rows have.
        queue: the label of the backend that took them.
    """
    reason = f"Handed to {queue}, which has not come back to send it yet."[:500]
    with database.short_transaction() as connection:
        now = clock.now(connection)
        for entry in entries:
            entry.state, entry.rule, entry.reason = State.QUEUED, RULE, reason
            rows.deliveries(connection).filter(
                id=entry.id, attempt=entry.attempt, state=State.IN_FLIGHT
            ).update(
                state=entry.state,
                rule=entry.rule,
                reason=entry.reason,
                changed_at=now,
                wake_at=now + PATIENCE,
            )
    overtaken(entries)


def overtaken(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that came back already; they get the state their rows have."""
    found = rows.deliveries(database.connection()).in_bulk([entry.id for entry in entries])
    ahead = [e for e in entries if e.id in found and found[e.id].attempt > e.attempt]
    for entry in ahead:
        row = found[entry.id]
        entry.state, entry.rule, entry.reason = State(row.state), row.rule, row.reason
    return ahead


def fold(dispatch: UUID) -> None:
    """Drop rows that wait for a queue which came back before they could be seen.

    The second stop then wrote a row of its own.
    """
    deliveries = rows.deliveries(database.connection()).filter(dispatch=dispatch)
    found = list(deliveries.order_by("attempt"))
    latest = {row.recipient: row.id for row in found}
    surplus = [row.id for row in found if row.rule == RULE and latest[row.recipient] != row.id]
    if surplus:
        deliveries.filter(id__in=surplus, rule=RULE).delete()


def fold_on_commit(dispatch: UUID) -> None:
    """A broker's worker may come back with the message before our rows can be seen."""
    ours = database.connection()
    if ours.in_atomic_block:
        transaction.on_commit(partial(fold, dispatch), using=ours.alias, robust=True)


def end_patience() -> int:
    """Make uncertain what a queue has kept for too long; return how many rows."""
    connection = database.connection()
    now = clock.now(connection)
    kept = rows.deliveries(connection).filter(state=State.QUEUED, rule=RULE).order_by()
    overdue = kept.filter(rows.due(now))
    for dispatch in set(overdue.values_list("dispatch", flat=True)):
        fold(dispatch)
    return database.retrying(
        partial(
            overdue.update,
            state=State.UNCERTAIN,
            reason=_LOST,
            changed_at=now,
            wake_at=clock.never(),
        )
    )
