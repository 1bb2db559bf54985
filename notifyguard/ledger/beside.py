"""Writing to the ledger beside the caller's transaction, in commits of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import database, switchboard
from notifyguard.database import Standing
from notifyguard.ledger import statements

T = TypeVar("T")

_WAIT_BRIEFLY = {
    "postgresql": "SET LOCAL lock_timeout = '2s'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
}
_is_aside: ContextVar[bool] = ContextVar("notifyguard_is_aside", default=False)


def is_possible() -> bool:
    """Tell whether a transaction is open that the ledger can be written beside.

    On SQLite a second writer waits for the first, which waits for it.
    """
    sqlite = database.connection().vendor == "sqlite"
    return database.standing() is Standing.CALLER and not sqlite


def run(work: Callable[[], T]) -> T:
    """Write to the ledger beside the caller's transaction, in commits of our own.

    A queue that holds a transaction open while it sends (django-mailer) would take
    our mark back with a rollback, and send again. Where no connection beside can be
    had, the work is done in the caller's transaction after all.

    Args:
        work: on the ledger and nothing else; it finds itself in autocommit, and may be
            done again, as anything that ``database.retrying`` does.
    """
    return database.beside(partial(_over, work=work))


def _over(other: BaseDatabaseWrapper, work: Callable[[], T]) -> T:
    ours = connections[other.alias]
    if other is ours:
        return work()
    connections[other.alias] = other
    token = _is_aside.set(True)
    try:
        return work()
    finally:
        _is_aside.reset(token)
        connections[other.alias] = ours


@contextmanager
def locked() -> Iterator[tuple[BaseDatabaseWrapper, int | None]]:
    """Open a short transaction with the control row locked; yield the generation, too.

    In the caller's transaction the row is only read: a long request must not block
    the kill switch.
    """
    in_callers = database.standing() is Standing.CALLER  # asked before we open our own
    with database.short_transaction() as connection:
        if in_callers:
            yield connection, switchboard.generation_now()
        else:
            yield connection, _lock(connection)


@contextmanager
def waiting_briefly() -> Iterator[None]:
    """Beside the caller, wait for locks a few seconds: its own are not freed by waiting."""
    if not _is_aside.get():
        yield
        return
    with database.short_transaction() as connection:
        _wait_briefly(connection)
        yield


def _lock(connection: BaseDatabaseWrapper) -> int | None:
    if _is_aside.get():
        _wait_briefly(connection)
    return statements.lock_generation(connection)


def _wait_briefly(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_WAIT_BRIEFLY[connection.vendor])
