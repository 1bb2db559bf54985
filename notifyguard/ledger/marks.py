"""The point of no return, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.ledger import at_once, retries, rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard

logger = logging.getLogger("notifyguard")

_MARKED = (State.IN_FLIGHT, State.UNCERTAIN)


def mark(
    entries: Sequence[Entry], generation: int, *, confirming: Sequence[Entry] = ()
) -> list[Entry]:
    """Commit that these claimed entries are about to be handed over.

    Args:
        entries: claimed by this process.
        generation: of the board their decision was made under.
        confirming: entries of the message before, with their outcome, written in
            the same commit. Their message, if it is kept, is left to ``queue.drop_done``.

    Returns:
        The entries that this process may hand over now. One that is missing was
        taken over by another.

    Raises:
        StaleBoard: a switch was set meanwhile; ``confirming`` was written all the same.
    """
    moved, found = database.retrying(lambda: _mark(entries, generation, confirming))
    if not moved and found != generation:
        raise StaleBoard
    for entry in entries:
        entry.state = State.IN_FLIGHT
    return [entry for entry in entries if entry.id in moved]


def confirm(entries: Sequence[Entry], *, unmarked: bool = False) -> None:
    """Write the outcome of entries that were marked: ``sent``, ``failed`` or ``uncertain``.

    Late evidence is accepted: a row that expired to ``uncertain`` meanwhile gets
    its true outcome. A proven failure frees the key.

    Args:
        entries: with their outcome.
        unmarked: their mark could not be written, and they left all the same, as
            critical mail may; their claims may have expired since.
    """
    if not entries:
        return
    connection = database.connection()
    at = clock.now(connection)
    states = (*_MARKED, State.CLAIMED, State.FAILED) if unmarked else _MARKED

    kept = {entry.dispatch for entry in entries if entry.frozen}

    def write() -> None:
        # A savepoint inside the caller's transaction: its work must not die of our update.
        if _is_one_update(entries) and not kept and not connection.in_atomic_block:
            _confirm(connection, entries, at, states)
            return
        with database.short_transaction():
            _confirm(connection, entries, at, states)
            if kept:
                statements.drop_if_done(connection, *kept)

    database.retrying(write)


def _mark(
    entries: Sequence[Entry], generation: int, confirming: Sequence[Entry]
) -> tuple[set[UUID], int | None]:
    connection = database.connection()
    at = clock.now(connection)
    lease_ends = at + timedelta(seconds=conf.current().lease) if entries[0].frozen else None
    if connection.vendor == "postgresql" and _is_one_update(confirming):
        wake_at = _wakes(confirming[0]) if confirming else None
        found, moved, changed = at_once.mark(
            *(connection, entries, generation, at),
            lease_ends=lease_ends,
            confirming=confirming,
            wake_at=wake_at,
        )
        _say_if_late(confirming, changed)
        return moved, found
    with database.short_transaction():
        if confirming:
            _confirm(connection, confirming, at)
        found = statements.lock_generation(connection)
        moved = set()
        if found == generation:
            moved = statements.mark(connection, entries, at, lease_ends)
    return moved, found


def _confirm(
    connection: BaseDatabaseWrapper,
    entries: Sequence[Entry],
    at: datetime,
    states: Sequence[State] = _MARKED,
) -> None:
    for group in _by_outcome(entries):
        changed = statements.confirm(connection, group, states, at, _wakes(group[0]))
        _say_if_late(group, changed)
        if group[0].state is State.FAILED:
            # What somebody resolved meanwhile keeps its key, if they found that it had left.
            ended = group if changed == len(group) else rows.failed(connection, group)
            rows.free(connection, ended)


def _say_if_late(entries: Sequence[Entry], changed: int) -> None:
    if changed != len(entries):
        # Somebody resolved it by hand, or took it over: theirs is the later word.
        logger.warning(
            "notifyguard: %d of %d outcomes came too late for the ledger (dispatch %s)",
            len(entries) - changed, len(entries), entries[0].dispatch,
        )  # fmt: skip


def _wakes(outcome: Entry) -> datetime | None:
    if outcome.state is not State.UNCERTAIN:
        return None
    if not outcome.frozen:
        return clock.never()
    return retries.resend_at(outcome.type, outcome.rule, outcome.retries)


def _is_one_update(entries: Sequence[Entry]) -> bool:
    """Tell whether all is said by one UPDATE: one outcome, no key to free."""
    frees = any(entry.state is State.FAILED and entry.key for entry in entries)
    return not frees and len(_by_outcome(entries)) <= 1


def _by_outcome(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[tuple[State, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.state, entry.rule, entry.reason), []).append(entry)
    return list(groups.values())
