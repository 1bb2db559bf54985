"""Rows of the ledger as they are written and ended, whoever works on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock, database, hold
from notifyguard.decision import OPEN_STATES, State
from notifyguard.identity import instance
from notifyguard.ledger import statements
from notifyguard.ledger.entry import Entry
from notifyguard.models import Claim, Delivery

GRACE = 30
"""Seconds for which a queued message is left to the process that queued it."""

WAITING = (State.QUEUED, State.CLAIMED)
"""States of a row whose message nobody has begun to hand over."""

CARRIED = (
    *("id", "dispatch", "key", "type", "recipient", "state", "attempt", "rule", "reason"),
    *("origin", "call_site", "task_id", "backend", "subject", "message_id"),
)
"""What an entry and its row have in common."""


def note(entries: Iterable[Entry], frozen: hold.Frozen | None = None) -> None:
    """Insert rows as they are: no claim, no lock, so that nobody waits for anybody.

    For the caller's open transaction, and for rows that claim nothing. A savepoint
    keeps a failure here from breaking the caller's transaction.

    Raises:
        DatabaseError: nothing was written; the caller's transaction goes on.
    """
    entries = list(entries)
    with database.short_transaction() as connection:
        at = clock.now(connection)
        insert(connection, entries, at)
        if frozen is not None:
            hold.keep(entries[0].dispatch, frozen, at)


def give_up(entries: Sequence[Entry]) -> None:
    """End entries that were recorded and will not be handed over; their keys are free again.

    Args:
        entries: claimed or queued, with the rule and reason to show; their rows
            become ``failed``.
    """
    with database.short_transaction() as connection:
        for entry in entries:
            ended = _waiting_row(connection, entry).update(
                state=State.FAILED,
                rule=entry.rule,
                reason=entry.reason,
                changed_at=clock.now(connection),
                wake_at=None,
            )
            if ended:
                free(connection, [entry])
        for dispatch in {entry.dispatch for entry in entries if entry.frozen}:
            statements.drop_if_done(connection, dispatch)


def withdraw(entries: Sequence[Entry]) -> None:
    """Take back rows of which nothing was handed over, as if they had never been.

    For entries whose decision is made anew.
    """
    with database.short_transaction() as connection:
        for entry in entries:
            ours = deliveries(connection).filter(id=entry.id, attempt=entry.attempt)
            # Whoever took the row over kept its id: the key is theirs, and may have been used.
            if ours.delete()[0]:
                free(connection, [entry])
            entry.state = State.QUEUED
        for dispatch in {entry.dispatch for entry in entries if entry.frozen}:
            statements.drop_if_done(connection, dispatch)


def expired(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries whose lease ran out before their mark: nobody is sending them."""
    rows = deliveries(database.connection()).filter(
        id__in=[entry.id for entry in entries], state=State.FAILED
    )
    attempts = dict(rows.values_list("id", "attempt"))
    return [entry for entry in entries if attempts.get(entry.id) == entry.attempt]


def entry_of(row: Delivery) -> Entry:
    """Return the entry that works on an existing row."""
    return Entry(**{name: getattr(row, name) for name in CARRIED}, frozen=row.wake_at is not None)


def deliveries(connection: BaseDatabaseWrapper) -> QuerySet[Delivery, Delivery]:
    """Return the ledger's rows, past routers."""
    return Delivery.objects.using(connection.alias)


def insert(connection: BaseDatabaseWrapper, entries: Sequence[Entry], at: datetime) -> None:
    """Insert rows for the entries as they are, in the transaction that is open."""
    here = instance()
    deliveries(connection).bulk_create(
        Delivery(
            **{name: getattr(entry, name) for name in CARRIED},
            instance=here,
            created_at=at,
            changed_at=at,
            wake_at=_wakes(entry, at),
        )
        for entry in entries
    )


def free(connection: BaseDatabaseWrapper, entries: Sequence[Entry]) -> None:
    """Free the keys that these entries hold."""
    for entry in entries:
        if entry.key is None:
            continue
        Claim.objects.using(connection.alias).filter(key=entry.key, delivery=entry.id).delete()


def _wakes(entry: Entry, at: datetime) -> datetime | None:
    if entry.state is State.QUEUED:
        # The process that queues delivers by itself; the sweeper is for when it died.
        return at + timedelta(seconds=GRACE)
    return clock.never() if entry.state in OPEN_STATES and entry.frozen else None


def _waiting_row(connection: BaseDatabaseWrapper, entry: Entry) -> QuerySet[Delivery, Delivery]:
    return deliveries(connection).filter(id=entry.id, attempt=entry.attempt, state__in=WAITING)
