"""Short transactions of our own, and what is tried again when it lost a race."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard.database.standing import Standing, connection, standing

T = TypeVar("T")

ATTEMPTS = 6
"""How often a statement is tried that lost a race for locks or its connection."""

# Serialisation failure and deadlock (PostgreSQL SQLSTATE), lock wait timeout and
# deadlock (MariaDB error numbers).
_RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
_RETRIED_NUMBERS = frozenset({1205, 1213})


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
        InterfaceError: the same, where the driver says that the connection is closed.
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
