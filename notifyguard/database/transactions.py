"""Short transactions of our own, and what is tried again when it lost a race."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError, Error, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard.database.standing import Standing, connection, standing

T = TypeVar("T")

ATTEMPTS = 10
"""How often a statement is tried that lost a race for locks or its connection."""

LONGEST_WAIT = 0.5
"""Seconds between two of them at most."""

PATIENCE = 5.0
"""Seconds after which nothing is tried again: one wait for a lock may last a minute by itself."""

# Serialisation failure and deadlock (PostgreSQL SQLSTATE), lock wait timeout and
# deadlock (MariaDB error numbers).
_RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
_RETRIED_NUMBERS = frozenset({1205, 1213})


@contextmanager
def short_transaction() -> Iterator[BaseDatabaseWrapper]:
    """Open a short transaction of our own, or a savepoint inside the caller's."""
    ours = connection()
    strict = _is_strict(ours) and standing() is Standing.AUTOCOMMIT
    with ours.wrap_database_errors, transaction.atomic(using=ours.alias):
        if strict:
            with ours.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield ours


def retrying(operation: Callable[[], T]) -> T:
    """Run a database operation again when it lost a race or its connection.

    Never after the mark: a hand-over is not repeated. Inside a transaction of
    the caller nothing is retried, since the caller's work is gone with it. Errors
    are wrapped once more: with a connection that was cut, Django fails in closing
    the cursor, and MariaDB's driver's own error comes through.

    Raises:
        DatabaseError: the last failure, or one that a retry cannot mend.
        InterfaceError: the same, where the driver says that the connection is closed.
    """
    ours = connection()
    until = time.monotonic() + PATIENCE
    for attempt in range(1, ATTEMPTS):
        before = ours.connection
        try:
            with ours.wrap_database_errors:
                return operation()
        except (OperationalError, InterfaceError) as error:
            if ours.in_atomic_block or not (_lost_a_race(error) or _was_cut(ours, before)):
                raise
            if time.monotonic() >= until:
                raise
            # Jitter, so that the workers which collided do not collide again.
            time.sleep(random.uniform(0, min(0.01 * 2**attempt, LONGEST_WAIT)))
    return operation()


def _is_strict(ours: BaseDatabaseWrapper) -> bool:
    """Tell whether PostgreSQL cancels transactions of this project for what others do.

    Ours need none of that, and must not be a reason to cancel the caller's.
    """
    return ours.vendor == "postgresql" and "isolation_level" in ours.settings_dict["OPTIONS"]


def _lost_a_race(error: DatabaseError | InterfaceError) -> bool:
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _RETRIED_SQLSTATES:
        return True
    if cause is not None and cause.args and cause.args[0] in _RETRIED_NUMBERS:
        return True
    return "database is locked" in str(error)


def _was_cut(ours: BaseDatabaseWrapper, before: Any) -> bool:
    """Tell whether the connection that was open before is no more; then there is a new one next.

    One that could not be opened was not cut: to try again is to wait again.
    """
    if before is None or ours.connection is not before:
        return before is not None  # Django gave it up, since it could not roll back
    if ours.is_usable():
        return False
    with contextlib.suppress(Error):  # the driver closed it before us
        ours.close()
    return True
