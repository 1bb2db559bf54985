"""Queued deliveries that leave now: their keys are taken, before the mark or with it.

start  one message: claim and mark in one commit
claim  a batch: the keys of all in one commit; ``ledger.mark`` then marks each
"""

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
from notifyguard.ledger import collisions, departure_at_once, rows, statements, takeover, taking
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
    if len(entries) == 1 and database.retrying(partial(_start_at_once, entries[0], board)):
        return list(entries)
    moved = database.retrying(partial(_take_keys, entries, board, observing, State.IN_FLIGHT))
    return [entry for entry in moved if entry.state is State.IN_FLIGHT]


def claim(entries: Sequence[Entry], board: Board, *, observing: bool = False) -> None:
    """Claim the keys of entries that were taken, of any number of dispatches, in one commit.

    They stay ``claimed`` until their mark. What becomes of an entry whose key another
    delivery holds is written on it, as by ``start``.

    Args:
        entries: ``claimed`` by ``take``.
        board: as of ``start``; whether it still stands is for the mark to say.
        observing: as of ``start``.
    """
    keyed = [entry for entry in entries if entry.key is not None]
    if keyed:
        database.retrying(partial(_take_keys, keyed, board, observing, State.CLAIMED))


def _start_at_once(entry: Entry, board: Board) -> bool:
    """Start one entry without steps, where the database can and nothing is in its way."""
    connection = database.connection()
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return False
    now = clock.now(connection)
    if not departure_at_once.start(connection, entry, board.generation, now, _lease_ends(now)):
        return False
    entry.state, entry.attempt = State.IN_FLIGHT, entry.attempt + 1
    return True


def _take_keys(entries: Sequence[Entry], board: Board, observing: bool, won: State) -> list[Entry]:
    """Claim, and move what won its key to that state; return the entries that moved."""
    with database.short_transaction() as connection:
        found = statements.lock_generation(connection)
        if won is State.IN_FLIGHT and found != board.generation:
            raise StaleBoard
        now = clock.now(connection)
        waiting = _still_waiting(connection, entries)
        judged = list(_judged(connection, waiting, board, now, observing, won))
        changed = [pair for pair in zip(waiting, judged, strict=True) if _differ(*pair)]
        moved = [(entry, ours) for entry, ours in changed if _move(connection, ours, now)]
        if lost := {ours.dispatch for ours in judged if ours.state is State.DUPLICATE}:
            statements.drop_if_done(connection, *lost)
    for entry, ours in moved:
        # Only now, since a transaction that is tried again starts from what stood before.
        entry.state, entry.rule, entry.reason = ours.state, ours.rule, ours.reason
        entry.key, entry.frozen, entry.attempt = ours.key, ours.frozen, entry.attempt + 1
    collisions.alarm(entry for entry, _ in moved)
    return [entry for entry, _ in moved]


def _differ(entry: Entry, judged: Entry) -> bool:
    return (entry.state, entry.key) != (judged.state, judged.key)


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
    won: State,
) -> Iterator[Entry]:
    """Yield a copy of each entry with what its key makes of it."""
    # Of two messages with one key the first has it.
    keyed = {entry.key: entry for entry in reversed(entries) if entry.key is not None}
    holders = taking.claim(connection, list(keyed.values()), now) if keyed else {}
    for entry in entries:
        judged = replace(entry, state=won)
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
    (holder,) = taking.claim(connection, [entry], now).values()
    if holder.delivery != entry.id:
        _count(connection, entry)


def _count(connection: BaseDatabaseWrapper, entry: Entry) -> None:
    collisions.make_duplicate(entry)
    if entry.key is not None:
        claims = Claim.objects.using(connection.alias)
        claims.filter(key=entry.key).update(duplicates=F("duplicates") + 1)


def _move(connection: BaseDatabaseWrapper, entry: Entry, now: datetime) -> bool:
    lease_ends = _lease_ends(now)
    wakes = {
        State.IN_FLIGHT: lease_ends,
        State.CLAIMED: lease_ends,
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


def _lease_ends(now: datetime) -> datetime:
    return now + timedelta(seconds=conf.current().lease)
