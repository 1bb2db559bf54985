"""Queued deliveries that leave now: their keys are taken and they are marked, in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import collisions, rows, statements, takeover
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard
from notifyguard.models import Claim
from notifyguard.switchboard import Board


def start(entries: Sequence[Entry], board: Board, *, observing: bool = False) -> list[Entry]:
    """Claim and mark queued entries in one commit: their message leaves now.

    An entry whose key another delivery holds becomes ``duplicate``, or is held as
    ``conflict`` if that one has other content.

    Args:
        entries: of one dispatch, ``queued``, or ``claimed`` by ``take``.
        board: the switches their decision was made under.
        observing: a taken key is only reported; the entry leaves without one.

    Returns:
        The entries that this process may hand over.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    return database.retrying(partial(_start, entries, board, observing))


def _start(entries: Sequence[Entry], board: Board, observing: bool) -> list[Entry]:
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != board.generation:
            raise StaleBoard
        now = clock.now(connection)
        waiting = _still_waiting(connection, entries)
        judged = list(_judged(connection, waiting, board, now, observing))
        moved = [_move(connection, entry, now) for entry in judged]
        if any(entry.state is State.DUPLICATE for entry in judged):
            statements.drop_if_done(connection, entries[0].dispatch)
    started = []
    for entry, changed, done in zip(waiting, judged, moved, strict=True):
        # Only now, since a transaction that is tried again starts from what stood before.
        entry.state, entry.rule, entry.reason = changed.state, changed.rule, changed.reason
        entry.key, entry.frozen, entry.attempt = changed.key, changed.frozen, entry.attempt + 1
        if done and entry.state is State.IN_FLIGHT:
            started.append(entry)
    collisions.alarm(waiting)
    return started


def _still_waiting(connection: BaseDatabaseWrapper, entries: Sequence[Entry]) -> list[Entry]:
    """Leave out and lock out what another process has ended: its key is not ours to take."""
    found = rows.deliveries(connection).filter(
        id__in=[entry.id for entry in entries], state__in=rows.WAITING
    )
    attempts = dict(found.select_for_update().values_list("id", "attempt"))
    return [entry for entry in entries if attempts.get(entry.id) == entry.attempt]


def _judged(
    connection: BaseDatabaseWrapper,
    entries: Sequence[Entry],
    board: Board,
    now: datetime,
    observing: bool,
) -> Iterator[Entry]:
    """Yield a copy of each entry with what its key makes of it."""
    keyed = [entry for entry in entries if entry.key is not None]
    holders = statements.claim(connection, keyed, now) if keyed else {}
    for entry in entries:
        judged = replace(entry, state=State.IN_FLIGHT)
        taken = None if entry.key is None else holders[entry.key]
        if taken and taken.delivery != entry.id and not takeover.evict(connection, entry):
            if observing:
                collisions.make_observed(judged, taken)
            elif collisions.is_conflict(entry, taken):
                _hold(connection, judged, board.salt, now)
            else:
                _count(connection, judged)
        yield judged


def _hold(connection: BaseDatabaseWrapper, entry: Entry, salt: str, now: datetime) -> None:
    collisions.make_conflict(entry, salt)
    (holder,) = statements.claim(connection, [entry], now).values()
    if holder.delivery != entry.id:
        _count(connection, entry)


def _count(connection: BaseDatabaseWrapper, entry: Entry) -> None:
    collisions.make_duplicate(entry)
    if entry.key is not None:
        claims = Claim.objects.using(connection.alias)
        claims.filter(key=entry.key).update(duplicates=F("duplicates") + 1)


def _move(connection: BaseDatabaseWrapper, entry: Entry, now: datetime) -> bool:
    wakes = {
        State.IN_FLIGHT: now + timedelta(seconds=conf.current().lease),
        State.HELD: clock.never(),
        State.DUPLICATE: None,
    }
    found = rows.deliveries(connection).filter(
        id=entry.id, attempt=entry.attempt, state__in=rows.WAITING
    )
    return bool(
        found.update(
            state=entry.state,
            key=entry.key,
            rule=entry.rule,
            reason=entry.reason,
            attempt=entry.attempt + 1,
            instance=instance(),
            message_id=entry.message_id,
            changed_at=now,
            wake_at=wakes[entry.state],
        )
    )
