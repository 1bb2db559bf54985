"""The point of no return, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import clock, database, hold
from notifyguard.decision import State
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard

logger = logging.getLogger("notifyguard")


def mark(
    entries: Sequence[Entry], generation: int, *, confirming: Sequence[Entry] = ()
) -> list[Entry]:
    """Commit that these claimed entries are about to be handed over.

    Args:
        entries: claimed by this process.
        generation: of the board their decision was made under.
        confirming: entries of the message before, with their outcome, written in
            the same commit.

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


def confirm(entries: Sequence[Entry]) -> None:
    """Write the outcome of entries that were marked: ``sent``, ``failed`` or ``uncertain``.

    Late evidence is accepted: a row that expired to ``uncertain`` meanwhile gets
    its true outcome. A proven failure frees the key.
    """
    if not entries:
        return
    connection = database.connection()
    at = clock.now(connection)
    outcomes = {(entry.state, entry.rule, entry.reason) for entry in entries}
    frees = any((entry.state is State.FAILED and entry.key) or entry.frozen for entry in entries)

    def write() -> None:
        if len(outcomes) == 1 and not frees:
            _confirm(connection, entries, at)
            return
        with database.short_transaction():
            _confirm(connection, entries, at)

    database.retrying(write)


def _mark(
    entries: Sequence[Entry], generation: int, confirming: Sequence[Entry]
) -> tuple[set[UUID], int | None]:
    connection = database.connection()
    at = clock.now(connection)
    if not confirming and connection.vendor == "postgresql":
        moved = statements.mark(connection, entries, generation, at)
        return moved, generation if moved else statements.generation(connection)
    with database.short_transaction():
        if confirming:
            _confirm(connection, confirming, at)
        found = statements.lock_generation(connection)
        moved = set()
        if found == generation:
            moved = statements.mark(connection, entries, generation, at)
    return moved, found


def _confirm(connection: BaseDatabaseWrapper, entries: Sequence[Entry], at: datetime) -> None:
    for group in _by_outcome(entries):
        wake_at = clock.never() if group[0].state is State.UNCERTAIN else None
        states = (State.IN_FLIGHT, State.UNCERTAIN)
        changed = statements.confirm(connection, group, states, at, wake_at)
        if changed != len(group):
            # Somebody resolved it by hand, or took it over: theirs is the later word.
            logger.warning(
                "notifyguard: %d of %d outcomes came too late for the ledger (dispatch %s)",
                len(group) - changed, len(group), group[0].dispatch,
            )  # fmt: skip
        elif group[0].state is State.FAILED:
            rows.free(connection, group)
    frozen = {entry.dispatch for entry in entries if entry.frozen}
    for dispatch in frozen:
        hold.drop_if_done(dispatch)


def _by_outcome(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[tuple[State, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.state, entry.rule, entry.reason), []).append(entry)
    return list(groups.values())
