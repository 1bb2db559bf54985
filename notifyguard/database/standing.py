"""Which connection is the ledger's, and whose transaction is open on it."""

from __future__ import annotations

from enum import Enum
from typing import Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from notifyguard import conf
from notifyguard.exceptions import LedgerUnavailable


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
        return Standing.TESTCASE if _is_testcases(ours) else Standing.CALLER
    switched_off = ours.connection is not None and not ours.autocommit
    return Standing.CALLER if switched_off else Standing.AUTOCOMMIT


def testcase_is_elsewhere() -> bool:
    """Tell whether a ``TestCase`` has its transaction open on another thread's connection.

    What is written over ours would not be seen by that test and would outlive it; on
    SQLite it would wait for the test's end.
    """
    ours = connection()
    if _is_testcases(ours):
        return False
    # A copy: other threads connect meanwhile.
    return any(_is_testcases(other) for other in _connected.copy() if other.alias == ours.alias)


def in_memory(ours: BaseDatabaseWrapper) -> bool:
    """Tell whether the database lives in this process alone."""
    return bool(getattr(ours, "is_in_memory_db", lambda: False)())


def _is_testcases(any_ones: BaseDatabaseWrapper) -> bool:
    # django.test.TestCase marks its own blocks; there is no public way to ask.
    return any(getattr(block, "_from_testcase", False) for block in any_ones.atomic_blocks)


def _remember(connection: BaseDatabaseWrapper, **more: Any) -> None:
    _connected.add(connection)


_connected: WeakSet[BaseDatabaseWrapper] = WeakSet()
connection_created.connect(_remember, dispatch_uid="notifyguard.database")
