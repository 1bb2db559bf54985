"""Reading the switches, over a connection that sees what others committed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import Error, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, QuerySet

from notifyguard import clock, database
from notifyguard.database import Standing
from notifyguard.decision import Sending
from notifyguard.ledger import statements
from notifyguard.models import BlockedAddress, Control, Switch
from notifyguard.switchboard.blocks import Block, Blocks, id_of
from notifyguard.switchboard.control import ensure_control
from notifyguard.switchboard.rulings import EVERYTHING, NO_LEDGER, Board, Ruling

T = TypeVar("T")

AT_ONCE = 500
"""Addresses of one query."""

REMEMBERED = 10_000
"""Addresses of which a process knows whether they are blocked; then it asks anew."""

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


def present_board() -> Board:
    """Return the switches as they stand now, at the price of one small query if none was set.

    Raises:
        DatabaseError: as ``board``.
    """
    known = board()
    return known if known.generation == generation_now() else board(fresh=True)


def last_known() -> Board:
    """Return the last switches seen, without asking; for when the database is down."""
    return _boards.get(database.alias(), NO_LEDGER)


def forget() -> None:
    """Forget the cached switches, for tests and forked children."""
    _boards.clear()


def blocked_among(board: Board, addresses: Sequence[str]) -> dict[str, Block]:
    """Return the blocks in force on some addresses, under the generation of a board.

    Nothing is asked where nobody is blocked, and of each address once: whoever blocks
    or unblocks changes the generation.

    Args:
        board: the switches that the decision is made under.
        addresses: normalised.

    Raises:
        DatabaseError: the ledger's database cannot be read.
    """
    if not board.blocks.any:
        return {}
    known = board.blocks.known
    answers = {address: known[address] for address in addresses if address in known}
    unknown = board.blocks.unknown(addresses)
    for start in range(0, len(unknown), AT_ONCE):
        asked = unknown[start : start + AT_ONCE]
        found = database.retrying(partial(_locking, database.read_committed, _blocks_on(asked)))
        answers.update((address, found.get(id_of(address))) for address in asked)
    if len(known) > REMEMBERED:
        known.clear()
    known.update(answers)
    return {each: block for each, block in answers.items() if block and _in_force(block)}


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
    controls = Control.objects.filter(pk=Control.ROW).values_list(
        "generation", "salt", "created_at", Exists(BlockedAddress.objects.all())
    )
    row = next(_rows(connection, controls), None)
    if row is None:
        return None
    generation, salt, created_at, blocks = row
    # The generation is read before the switches: a flip between the two makes the
    # mark fail and the board be read again, the other way round it would pass.
    return Board(generation, salt, created_at, tuple(_rulings(connection)), Blocks(bool(blocks)))


def _rulings(connection: BaseDatabaseWrapper) -> Iterator[Ruling]:
    columns = ("pattern", "everything", "sending", "reason", "author", "expires_at", "set_at")
    switches = _rows(connection, Switch.objects.values_list(*columns))
    for pattern, everything, sending, reason, author, until, at in switches:
        name = EVERYTHING if everything else pattern
        yield Ruling(Sending(sending), "database", name, reason, author, until, at)


def _blocks_on(addresses: Sequence[str]) -> Callable[[BaseDatabaseWrapper], dict[UUID, Block]]:
    columns = ("id", "reason", "author", "everything", "expires_at")
    found = BlockedAddress.objects.filter(id__in=list(map(id_of, addresses))).order_by()

    def read(connection: BaseDatabaseWrapper) -> dict[UUID, Block]:
        rows = _rows(connection, found.values_list(*columns))
        return {key: Block(*values) for key, *values in rows}

    return read


def _in_force(block: Block) -> bool:
    return block.expires_at is None or block.expires_at > clock.now(database.connection())


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
