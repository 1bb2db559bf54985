"""Rows of the ledger as they are written and ended, whoever works on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from notifyguard import clock, database, hold
from notifyguard.decision import OPEN_STATES, State
from notifyguard.identity import instance
from notifyguard.ledger import statements
from notifyguard.ledger.entry import Entry
from notifyguard.models import Claim, Delivery

GRACE = 30
"""Seconds for which a queued message is left to the process that queued it."""

HANDED_ON = "handed on"
"""Rule of a queued row that waits for a queue of somebody else, not for the sweeper."""

WAITING = (State.QUEUED, State.CLAIMED)
"""States of a row whose message nobody has begun to hand over."""

CARRIED = (
    *("id", "dispatch", "key", "fingerprint", "type", "recipient", "state", "attempt"),
    *("rule", "reason", "origin", "call_site", "task_id", "backend", "subject", "message_id"),
    *("max_age", "scheduled", "retries", "supersedes", "doubtful"),
)
"""What an entry and its row have in common."""


# Conditions are ranges with two ends. Planners that know no better, or know that nearly
# every row has no ``wake_at``, take one end or "not NULL" for most of the ledger, and
# read all of it in the order of another index.
def _earliest() -> datetime:
    return clock.never().replace(year=1971)


def _latest() -> datetime:
    return clock.never().replace(year=9999)


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
    database.retrying(partial(_end, entries, _fail))


def withdraw(entries: Sequence[Entry]) -> None:
    """Take back rows of which nothing was handed over, as if they had never been.

    For entries whose decision is made anew.
    """
    database.retrying(partial(_end, entries, _delete))
    for entry in entries:
        entry.state = State.QUEUED


def due(now: datetime) -> Q:
    """Return the condition that rows are to be looked at by now."""
    return Q(wake_at__range=(_earliest(), now))


def asleep(now: datetime) -> Q:
    """Return the condition that rows are to be looked at later."""
    return Q(wake_at__range=(now, _latest()))


def waiting() -> Q:
    """Return the condition that rows are to be looked at some time."""
    return Q(wake_at__range=(_earliest(), _latest()))


def begun_since(at: datetime) -> Q:
    """Return the condition that rows were made at this time or later."""
    return Q(created_at__range=(at, _latest()))


def failed(connection: BaseDatabaseWrapper, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries whose rows have failed at their attempt: nobody is sending them."""
    rows = deliveries(connection).filter(id__in=[entry.id for entry in entries], state=State.FAILED)
    attempts = dict(rows.values_list("id", "attempt"))
    return [entry for entry in entries if attempts.get(entry.id) == entry.attempt]


def has_row(entry: Entry) -> bool:
    """Tell whether the entry is in the ledger."""
    return deliveries(database.connection()).filter(id=entry.id).exists()


def entry_of(row: Delivery) -> Entry:
    """Return the entry that works on an existing row."""
    return Entry(
        **{name: getattr(row, name) for name in CARRIED},
        frozen=row.wake_at is not None,
        due_at=row.due_at or row.created_at,
    )


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
            due_at=entry.due_at,
            wake_at=wakes(entry, at),
        )
        for entry in entries
    )


def free(connection: BaseDatabaseWrapper, entries: Sequence[Entry | Delivery]) -> None:
    """Free the keys that these entries hold.

    In the order of the keys, as they are claimed: otherwise two processes deadlock.
    """
    held = {entry.key: entry.id for entry in entries if entry.key is not None}
    for key in sorted(held, key=str):
        Claim.objects.using(connection.alias).filter(key=key, delivery=held[key]).delete()


def wakes(entry: Entry, at: datetime) -> datetime | None:
    """Return when the sweeper must look at a row that is written now, if ever."""
    if entry.state is State.QUEUED and entry.wakes_at is not None:
        return entry.wakes_at
    if entry.state is State.QUEUED:
        # The process that queues delivers by itself; the sweeper is for when it died.
        return at + timedelta(seconds=GRACE)
    return clock.never() if entry.state in OPEN_STATES and entry.frozen else None


def _end(entries: Sequence[Entry], end: Callable[[BaseDatabaseWrapper, Entry], int]) -> None:
    with database.short_transaction() as connection:
        # Whoever took a row over kept its id: the key is theirs then, and may have been used.
        ordered = sorted(entries, key=lambda entry: str(entry.id))
        free(connection, [entry for entry in ordered if end(connection, entry)])
        for dispatch in {entry.dispatch for entry in entries if entry.frozen}:
            statements.drop_if_done(connection, dispatch)


def _fail(connection: BaseDatabaseWrapper, entry: Entry) -> int:
    row = deliveries(connection).filter(id=entry.id, attempt=entry.attempt, state__in=WAITING)
    return row.update(
        state=State.FAILED,
        rule=entry.rule,
        reason=entry.reason,
        changed_at=clock.now(connection),
        wake_at=None,
    )


def _delete(connection: BaseDatabaseWrapper, entry: Entry) -> int:
    return deliveries(connection).filter(id=entry.id, attempt=entry.attempt).delete()[0]
