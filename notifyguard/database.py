"""The ledger's database: which connection, whose transaction, what may be retried.

Everything notifyguard reads or writes goes to ``NOTIFYGUARD["DATABASE"]``, past
routers and replicas.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import conf
from notifyguard.exceptions import LedgerUnavailable

T = TypeVar("T")

ATTEMPTS = 6
"""How often a statement is tried that lost a race for locks or its connection."""

# Serialisation failure and deadlock (PostgreSQL SQLSTATE), lock wait timeout and
# deadlock (MariaDB error numbers).
_RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
_RETRIED_NUMBERS = frozenset({1205, 1213})


class Standing(Enum):
    """Whose transaction the running code is in, on the ledger's connection."""

    AUTOCOMMIT = "autocommit"
    CALLER = "caller"
    TESTCASE = "testcase"


def alias() -> str:
    """Return the alias of the ledger's database.

    Raises:
        LedgerUnavailable: the setting names no database of this project.
    """
    name = conf.current().database
    if name not in connections.settings:
        raise LedgerUnavailable(
            f'NOTIFYGUARD["DATABASE"] is {name!r}, which is no alias in DATABASES. '
            "Nothing is sent: under another ledger, keys taken long ago would be free."
        )
    return name


def connection() -> BaseDatabaseWrapper:
    """Return this thread's connection to the ledger's database.

    Raises:
        LedgerUnavailable: the setting names no database of this project.
    """
    return connections[alias()]


def standing() -> Standing:
    """Say whether a transaction of the caller is open on the ledger's connection.

    A ``TestCase`` wraps every test in a transaction that is never committed;
    what waited for that commit would never be sent, so it is told apart.
    """
    ours = connection()
    if ours.in_atomic_block:
        # django.test.TestCase marks its own blocks; there is no public way to ask.
        from_test = any(getattr(block, "_from_testcase", False) for block in ours.atomic_blocks)
        return Standing.TESTCASE if from_test else Standing.CALLER
    switched_off = ours.connection is not None and not ours.autocommit
    return Standing.CALLER if switched_off else Standing.AUTOCOMMIT


@contextmanager
def short_transaction() -> Iterator[BaseDatabaseWrapper]:
    """Open a short transaction of our own, or a savepoint inside the caller's."""
    ours = connection()
    strict = _is_strict(ours) and standing() is Standing.AUTOCOMMIT
    with transaction.atomic(using=ours.alias):
        if strict:
            with ours.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield ours


def retrying(operation: Callable[[], T]) -> T:
    """Run a database operation again when it lost a race or its connection.

    Never after the mark: a hand-over is not repeated. Inside a transaction of
    the caller nothing is retried, since the caller's work is gone with it.

    Raises:
        DatabaseError: the last failure, or one that a retry cannot mend.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return operation()
        except (OperationalError, InterfaceError) as error:
            if connection().in_atomic_block or not _mendable(error):
                raise
            # Jitter, so that the workers which collided do not collide again.
            time.sleep(random.uniform(0, 0.01 * 2**attempt))
    return operation()


def _is_strict(ours: BaseDatabaseWrapper) -> bool:
    """Tell whether PostgreSQL cancels transactions of this project for what others do.

    Ours need none of that, and must not be a reason to cancel the caller's.
    """
    return ours.vendor == "postgresql" and "isolation_level" in ours.settings_dict["OPTIONS"]


def _mendable(error: DatabaseError | InterfaceError) -> bool:
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _RETRIED_SQLSTATES:
        return True
    if cause is not None and cause.args and cause.args[0] in _RETRIED_NUMBERS:
        return True
    return "database is locked" in str(error) or _was_cut()


def _was_cut() -> bool:
    ours = connection()
    if ours.connection is None or ours.is_usable():
        return False
    ours.close()
    return True


class _Aside(threading.local):
    """Read-only autocommit connections of our own, one for each thread and alias."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.opened: dict[str, BaseDatabaseWrapper] = {}


_aside = _Aside()


def aside() -> BaseDatabaseWrapper:
    """Return a connection beside the caller's, which sees what others committed.

    Only to read: a second writer beside the caller's transaction deadlocks on
    SQLite. An in-memory database and a test's transaction cannot be seen from
    beside; there the caller's connection is returned.
    """
    ours = connection()
    if standing() is not Standing.CALLER or in_memory(ours):
        return ours
    if _aside.process != os.getpid():
        # A forked child must not talk over its parent's socket.
        _aside.__init__()  # type: ignore[misc]
    if ours.alias not in _aside.opened:
        beside = connections.create_connection(ours.alias)
        beside.settings_dict = _settings_beside(ours)
        beside.inc_thread_sharing()
        _aside.opened[ours.alias] = beside
    beside = _aside.opened[ours.alias]
    beside.close_if_unusable_or_obsolete()
    return beside


def _settings_beside(ours: BaseDatabaseWrapper) -> dict[str, Any]:
    # It ends with the caller's connection: by a CONN_MAX_AGE of its own (0 by default)
    # it would be opened anew for every message.
    changed = {**ours.settings_dict, "AUTOCOMMIT": True, "CONN_MAX_AGE": None}
    if ours.vendor == "sqlite":
        # A large transaction of the caller locks readers out until it ends; to wait
        # for that is to wait for ourselves.
        changed["OPTIONS"] = {**changed["OPTIONS"], "timeout": 0}
    return changed


def close_aside(closed: BaseDatabaseWrapper) -> None:
    """Close the connection beside one that was closed: neither outlives the other."""
    beside = _aside.opened.get(closed.alias)
    if beside is not None and beside is not closed:
        del _aside.opened[closed.alias]
        beside.close()


def in_memory(ours: BaseDatabaseWrapper) -> bool:
    return bool(getattr(ours, "is_in_memory_db", lambda: False)())
