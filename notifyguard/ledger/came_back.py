"""Messages that came back from the queue they were handed on to.

    mark      handed over now: ``in_flight``, one attempt later
    stop      ``held`` or ``discarded``, with the message as it came back
    give_up   could not be handed over: ``failed``, its key is free

What came back has been here before if its row has a higher attempt than its pass.
Such a row is left alone, save for a proven failure: who retries that sends again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid5

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from notifyguard import clock, conf, database, hold
from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import beside, rows, taking
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard
from notifyguard.models import Delivery


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


@contextmanager
def _leaving(
    entries: Sequence[Entry], attempt: int, generation: int
) -> Iterator[tuple[BaseDatabaseWrapper, list[Entry]]]:
    """Lock the rows and yield the entries that may leave, with their keys taken."""
    with beside.locked() as (connection, found_generation):
        if found_generation != generation:
            raise StaleBoard
        found = {row.id: row for row in _rows(connection, entries).select_for_update()}
        leaving = [e for e in entries if e.id in found and may_leave(found[e.id], attempt)]
        for entry in leaving:
            entry.attempt = found[entry.id].attempt
        freed = [e for e in leaving if found[e.id].state == State.FAILED and e.key is not None]
        holders = taking.claim(connection, freed, clock.now(connection)) if freed else {}
        lost = [entry for entry in freed if entry.key and holders[entry.key].delivery != entry.id]
        yield connection, [entry for entry in leaving if entry not in lost]


def _stop(
    connection: BaseDatabaseWrapper, leaving: Sequence[Entry], attempt: int, frozen: hold.Frozen
) -> None:
    now, first = clock.now(connection), leaving[0]
    dispatch = first.dispatch
    if hold.has(dispatch):
        # For other recipients, or of another part of what the queue took apart.
        dispatch = _apart(dispatch, min(entry.recipient for entry in leaving))
    hold.keep_once(dispatch, frozen, now)
    _rows(connection, leaving).update(
        dispatch=dispatch,
        state=first.state,
        attempt=Greatest(F("attempt"), Value(attempt)) + 1,
        rule=first.rule,
        reason=first.reason,
        backend=first.backend,
        fingerprint=first.fingerprint,
        changed_at=now,
        wake_at=clock.never() if first.state is State.HELD else None,
    )
    rows.free(connection, [entry for entry in leaving if not entry.takes_key])


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
