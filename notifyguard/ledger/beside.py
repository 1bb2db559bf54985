"""Writing to the ledger beside the caller's transaction, in commits of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import database, switchboard
from notifyguard.database import Standing
from notifyguard.ledger import statements

_WAIT_BRIEFLY = {
    "postgresql": "SET LOCAL lock_timeout = '5s'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 5",
}
_is_aside: ContextVar[bool] = ContextVar("notifyguard_is_aside", default=False)


def is_possible() -> bool:
    """Tell whether a transaction is open that the ledger can be written beside.

    On SQLite a second writer waits for the first, which waits for it.
    """
    sqlite = database.connection().vendor == "sqlite"
    return database.standing() is Standing.CALLER and not sqlite


@contextmanager
def the_caller() -> Iterator[None]:
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
