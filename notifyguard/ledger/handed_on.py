"""Messages that were handed on: to a queue first, by whose hands they come back to be sent.

    hand_on   a queue has it: ``queued``, and not for our sweeper
    mark      it came back and is handed over now: ``in_flight``, one attempt later
    stop      it came back and is held or discarded
    give_up   it came back and could not be handed over: ``failed``, its key is free

What came back has been here before if its row has a higher attempt than its pass.
Such a row is left alone, save for a proven failure: who retries that sends again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from uuid import UUID, uuid5

from django.db import IntegrityError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from notifyguard import clock, conf, database, hold, switchboard
from notifyguard.database import Standing
from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard
from notifyguard.models import Delivery

RULE = rows.HANDED_ON
PATIENCE = timedelta(days=7)
"""For so long a queue may keep a message before somebody should look."""

_WAIT_BRIEFLY = {
    "postgresql": "SET LOCAL lock_timeout = '5s'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 5",
}
_is_aside: ContextVar[bool] = ContextVar("notifyguard_is_aside", default=False)
_LOST = "The queue has not come back with it for 7 days. If it does, it is sent then."


def hand_on(entries: Sequence[Entry], queue: str) -> None:
    """Write that a queue took marked entries; nothing where they came back already.

    Args:
        entries: of one dispatch, ``in_flight``; they get the state their rows have.
        queue: the label of the backend that took them.
    """
    connection = database.connection()
    now = clock.now(connection)
    reason = f"Handed to {queue}, which has not come back to send it yet."[:500]
    with database.short_transaction():
        for entry in entries:
            ours = rows.deliveries(connection).filter(id=entry.id)
            waits = ours.filter(attempt=entry.attempt, state=State.IN_FLIGHT).update(
                state=State.QUEUED,
                rule=RULE,
                reason=reason,
                changed_at=now,
                wake_at=now + PATIENCE,
            )
            if waits:
                entry.state, entry.rule, entry.reason = State.QUEUED, RULE, reason
            elif row := ours.first():
                entry.state, entry.rule, entry.reason = State(row.state), row.rule, row.reason


def find(dispatch: UUID, recipients: Collection[str]) -> dict[str, Delivery]:
    """Return the latest row of each recipient whose row can be seen."""
    among = [dispatch, *(_apart(dispatch, recipient) for recipient in recipients)]
    found = rows.deliveries(database.connection()).filter(
        dispatch__in=among, recipient__in=recipients
    )
    return {row.recipient: row for row in found.order_by("attempt")}


def is_known(dispatch: UUID) -> bool:
    """Tell whether any row of a dispatch can be seen."""
    return rows.deliveries(database.connection()).filter(dispatch=dispatch).exists()


def may_leave(row: Delivery, attempt: int) -> bool:
    """Tell whether nothing of this delivery has left, as far as can be known.

    Args:
        row: as it stands.
        attempt: of the pass.
    """
    if row.state == State.FAILED:
        return True
    if row.attempt > attempt:
        return False
    if row.state == State.SENT:
        # By the word of a backend of which nothing is known: it queued, as we see now.
        return row.rule != "resolved"
    return row.state in (State.IN_FLIGHT, State.QUEUED, State.UNCERTAIN)


def mark(entries: Sequence[Entry], attempt: int, generation: int) -> list[Entry]:
    """Commit that entries which came back are about to be handed over.

    Args:
        entries: of rows that ``find`` found.
        attempt: of their pass.
        generation: of the board their decision was made under.

    Returns:
        The entries that this process may hand over now.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """

    def step() -> list[Entry]:
        with _leaving(entries, attempt, generation) as (connection, leaving):
            now = clock.now(connection)
            _rows(connection, leaving).update(
                state=State.IN_FLIGHT,
                attempt=Greatest(F("attempt"), Value(attempt)) + 1,
                rule="",
                reason="",
                instance=instance(),
                message_id=entries[0].message_id,
                changed_at=now,
                wake_at=now + timedelta(seconds=conf.current().lease),
            )
        return leaving

    started = _moved(database.retrying(step), attempt)
    for entry in started:
        entry.state, entry.rule, entry.reason = State.IN_FLIGHT, "", ""
    return started


def stop(
    entries: Sequence[Entry], attempt: int, generation: int, frozen: hold.Frozen
) -> list[Entry]:
    """Hold or discard entries that came back, with their message as it came back.

    Args:
        entries: with the state, rule and reason to write, and the backend that the
            message is for: released, it does not go back into the queue.
        attempt: of their pass.
        generation: of the board the decision was made under.
        frozen: the message.

    Returns:
        The entries that are stopped; others have left or are leaving.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """

    def step() -> list[Entry]:
        with _leaving(entries, attempt, generation) as (connection, leaving):
            if leaving:
                _stop(connection, leaving, attempt, frozen)
        return leaving

    try:
        stopped = database.retrying(step)
    except IntegrityError:  # another part of the same dispatch is being kept right now
        stopped = database.retrying(step)
    return _moved(stopped, attempt)


def give_up(entries: Sequence[Entry], attempt: int) -> None:
    """End entries that could not be handed over; the queue was told and may try again."""
    with database.short_transaction() as connection:
        for entry in entries:
            ended = (
                rows.deliveries(connection)
                .filter(id=entry.id, attempt=entry.attempt)
                .exclude(state=State.FAILED)
                .update(
                    state=State.FAILED,
                    attempt=max(entry.attempt, attempt) + 1,
                    rule=entry.rule,
                    reason=entry.reason,
                    changed_at=clock.now(connection),
                    wake_at=None,
                )
            )
            if ended:
                rows.free(connection, [entry])


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


def end_patience() -> int:
    """Make uncertain what a queue has kept for too long; return how many rows."""
    connection = database.connection()
    now = clock.now(connection)
    overdue = rows.deliveries(connection).filter(state=State.QUEUED, rule=RULE, wake_at__lte=now)
    for dispatch in set(overdue.values_list("dispatch", flat=True)):
        fold(dispatch)
    return overdue.update(
        state=State.UNCERTAIN, reason=_LOST, changed_at=now, wake_at=clock.never()
    )


def can_step_aside() -> bool:
    """Tell whether a transaction is open that the ledger can be written beside.

    On SQLite a second writer waits for the first, which waits for it.
    """
    sqlite = database.connection().vendor == "sqlite"
    return database.standing() is Standing.CALLER and not sqlite


@contextmanager
def aside() -> Iterator[None]:
    """Write to the ledger beside the caller's transaction, in commits of our own.

    A queue that holds a transaction open while it sends (django-mailer) would take
    our mark back with a rollback, and send again. Nothing but the ledger runs inside.
    """
    ours = database.connection()
    beside = database.aside()
    connections[ours.alias] = beside
    token = _is_aside.set(True)
    try:
        yield
    finally:
        _is_aside.reset(token)
        connections[ours.alias] = ours


@contextmanager
def _leaving(
    entries: Sequence[Entry], attempt: int, generation: int
) -> Iterator[tuple[BaseDatabaseWrapper, list[Entry]]]:
    """Lock the rows and yield the entries that may leave, with their keys taken."""
    locking = database.standing() is not Standing.CALLER
    with database.short_transaction() as connection:
        if (_locked(connection) if locking else switchboard.generation_now()) != generation:
            raise StaleBoard
        found = {row.id: row for row in _rows(connection, entries).select_for_update()}
        leaving = [e for e in entries if e.id in found and may_leave(found[e.id], attempt)]
        for entry in leaving:
            entry.attempt = found[entry.id].attempt
        freed = [e for e in leaving if found[e.id].state == State.FAILED and e.key is not None]
        holders = statements.claim(connection, freed, clock.now(connection)) if freed else {}
        lost = [entry for entry in freed if entry.key and holders[entry.key] != entry.id]
        yield connection, [entry for entry in leaving if entry not in lost]


def _locked(connection: BaseDatabaseWrapper) -> int | None:
    if _is_aside.get():
        # What the caller's transaction beside us has locked is not freed by waiting.
        with connection.cursor() as cursor:
            cursor.execute(_WAIT_BRIEFLY[connection.vendor])
    return statements.lock_generation(connection)


def _stop(
    connection: BaseDatabaseWrapper, leaving: Sequence[Entry], attempt: int, frozen: hold.Frozen
) -> None:
    now, first = clock.now(connection), leaving[0]
    dispatch = first.dispatch
    if hold.fetch(dispatch) is not None:
        # Of other recipients, or another part of what the queue took apart.
        dispatch = _apart(dispatch, min(entry.recipient for entry in leaving))
    hold.keep(dispatch, frozen, now)
    _rows(connection, leaving).update(
        dispatch=dispatch,
        state=first.state,
        attempt=Greatest(F("attempt"), Value(attempt)) + 1,
        rule=first.rule,
        reason=first.reason,
        backend=first.backend,
        changed_at=now,
        wake_at=clock.never() if first.state is State.HELD else None,
    )


def _rows(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry]
) -> QuerySet[Delivery, Delivery]:
    return rows.deliveries(connection).filter(id__in=[entry.id for entry in entries])


def _moved(entries: list[Entry], attempt: int) -> list[Entry]:
    """Write on the entries the attempt that their rows have got."""
    for entry in entries:
        entry.attempt = max(entry.attempt, attempt) + 1
    return entries


def _apart(dispatch: UUID, recipient: str) -> UUID:
    """Return the dispatch of a part that is kept apart; found again by the same recipients."""
    return uuid5(dispatch, recipient)
