"""Reading the switches, over a connection that sees what others committed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.db import Error, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock, database
from notifyguard.database import Standing
from notifyguard.decision import Sending
from notifyguard.ledger import statements
from notifyguard.models import Control, Switch
from notifyguard.switchboard.control import ensure_control
from notifyguard.switchboard.rulings import EVERYTHING, NO_LEDGER, Board, Ruling

T = TypeVar("T")

_boards: dict[str, Board] = {}


def board(*, fresh: bool = False) -> Board:
    """Return the switches as this process last saw them.

    Args:
        fresh: read them again, because the ledger said that they changed.

    Raises:
        DatabaseError: the ledger's database or tables cannot be read.
    """
    alias = database.alias()
    known = None if fresh else _boards.get(alias)
    if known is None:
        known = database.retrying(_load)
        _boards[alias] = known
    return known


def last_known() -> Board:
    """Return the last switches seen, without asking; for when the database is down."""
    return _boards.get(database.alias(), NO_LEDGER)


def forget() -> None:
    """Forget the cached switches, for tests and forked children."""
    _boards.clear()


def generation_now() -> int:
    """Return the generation as others committed it, also inside the caller's transaction."""
    ours = database.connection()
    if ours.vendor == "postgresql" and database.standing() is Standing.CALLER:
        # In a savepoint: the table may be gone since, or locked for longer than the
        # caller's own timeout, and neither is to cost the caller's work.
        with contextlib.suppress(Error), database.short_transaction():
            if (seen := statements.committed_generation(ours)) is not None:
                return seen
    return _locking(database.beside, statements.generation) or 0


def _load() -> Board:
    return _locking(database.read_committed, _read) or _begin()


def _begin() -> Board:
    """Make the control row, which a flush has emptied, and read.

    Not in the caller's transaction: whoever sent mail meanwhile would wait for its end.
    On SQLite all who write wait for it anyway, and a second writer for ever.
    """
    ours = database.connection()
    board = _make(ours) if ours.vendor == "sqlite" else database.beside(_make)
    return board or NO_LEDGER  # made and gone again: a flush between the two queries


def _make(connection: BaseDatabaseWrapper) -> Board | None:
    ensure_control(connection)
    return _read(connection)


def _read(connection: BaseDatabaseWrapper) -> Board | None:
    clock.compare(connection)
    controls = Control.objects.filter(pk=Control.ROW)
    row = next(_rows(connection, controls.values_list("generation", "salt", "created_at")), None)
    if row is None:
        return None
    generation, salt, created_at = row
    # The generation is read before the switches: a flip between the two makes the
    # mark fail and the board be read again, the other way round it would pass.
    return Board(generation, salt, created_at, tuple(_rulings(connection)))


def _rulings(connection: BaseDatabaseWrapper) -> Iterator[Ruling]:
    columns = ("pattern", "everything", "sending", "reason", "author", "expires_at")
    switches = _rows(connection, Switch.objects.values_list(*columns))
    for pattern, everything, sending, reason, author, until in switches:
        name = EVERYTHING if everything else pattern
        yield Ruling(Sending(sending), "database", name, reason, author, until)


def _rows(connection: BaseDatabaseWrapper, query: QuerySet[Any, Any]) -> Iterator[Any]:
    """Run a query of the ORM over one connection, whatever routers say."""
    return iter(list(query.query.get_compiler(connection=connection).results_iter()))


def _locking(
    over: Callable[[Callable[[BaseDatabaseWrapper], T]], T],
    read: Callable[[BaseDatabaseWrapper], T],
) -> T:
    """Read; if SQLite's file is locked against readers, over the caller's connection.

    It is locked by the caller's own transaction or by another's commit. With the write
    lock, which the row to come needs anyway, nobody else can write, and the caller's
    connection sees all there is. Without it a read first would have SQLite refuse the
    write instead of waiting.
    """
    try:
        return over(read)
    except OperationalError:
        ours = database.connection()
        if ours.vendor != "sqlite" or database.standing() is not Standing.CALLER:
            raise
        statements.lock_generation(ours)
        return read(ours)
