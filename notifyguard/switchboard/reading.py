"""Reading the switches, over a connection that sees what others committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock, database
from notifyguard.decision import Sending
from notifyguard.ledger import statements
from notifyguard.models import Control, Switch
from notifyguard.switchboard.control import control_row, ensure_control
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
    """Return the generation as others committed it, seen from beside the caller's transaction."""
    return _from_beside(statements.generation) or 0


def _load() -> Board:
    clock.compare(database.aside())
    row = _read_control()
    if row is None:
        ours = database.connection()
        ensure_control(ours)
        # Made in the caller's transaction it is not to be seen from beside; without
        # its salt there are no keys, and what was keyed would leave twice.
        row = control_row(ours).values_list("generation", "salt", "created_at").first()
    if row is None:
        return NO_LEDGER  # made and gone again: a flush between the two queries
    generation, salt, created_at = row
    # The generation is read before the switches: a flip between the two makes the
    # mark fail and the board be read again, the other way round it would pass.
    return Board(generation, salt, created_at, tuple(_read_rulings()))


def _read_control() -> tuple[int, str, datetime] | None:
    rows = Control.objects.filter(pk=Control.ROW).values_list("generation", "salt", "created_at")
    return next(_read(rows), None)


def _read_rulings() -> Iterator[Ruling]:
    columns = ("pattern", "everything", "sending", "reason", "author", "expires_at")
    for pattern, everything, sending, reason, author, until in _read(
        Switch.objects.values_list(*columns)
    ):
        name = EVERYTHING if everything else pattern
        yield Ruling(Sending(sending), "database", name, reason, author, until)


def _read(rows: QuerySet[Any, Any]) -> Iterator[Any]:
    """Run a query of the ORM over the connection that sees what others committed."""
    return iter(
        _from_beside(lambda beside: list(rows.query.get_compiler(connection=beside).results_iter()))
    )


def _from_beside(read: Callable[[BaseDatabaseWrapper], T]) -> T:
    beside = database.aside()
    try:
        return read(beside)
    except OperationalError:
        if beside is database.connection() or beside.vendor != "sqlite":
            raise
        # The file is locked against readers, by the caller's own transaction or by
        # another's commit. With the write lock, which the row to come needs anyway,
        # nobody else can write, and the caller's connection sees all there is. Without
        # it a read first would have SQLite refuse the write instead of waiting.
        ours = database.connection()
        with ours.cursor() as cursor:
            cursor.execute(
                f"UPDATE {Control._meta.db_table} SET generation = generation WHERE id = 1"
            )
        return read(ours)
