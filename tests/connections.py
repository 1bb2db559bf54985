"""Connections of a test to the ledger's database: counted, cut, and out of their caller's sight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

from notifyguard import database
from tests.threads import TIMEOUT

LEVEL = {"postgresql": "SESSION CHARACTERISTICS AS", "mysql": "SESSION"}
KILL = {"postgresql": "SELECT pg_terminate_backend(%s, 5000)", "mysql": "KILL %s"}
IMPATIENT = {
    "postgresql": "SET lock_timeout = '2s'",
    "mysql": "SET innodb_lock_wait_timeout = 2",
}
WAITS = {
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE pid = {} AND wait_event_type = 'Lock'",
    "mysql": "SELECT 1 FROM information_schema.innodb_trx"
    " WHERE trx_mysql_thread_id = {} AND trx_state = 'LOCK WAIT'",
}
PAUSE = 0.15  # seconds; asked more often, MariaDB answers what it answered before
NUMBER = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


def number(of: Any) -> int:
    """The server's number of a connection."""
    with of.cursor() as cursor:
        cursor.execute(NUMBER[of.vendor])
        return int(cursor.fetchone()[0])


def waits_for_a_lock(victim: int, of: Any = connection) -> bool:
    """Whether the server keeps that connection waiting; asked over another."""
    with of.cursor() as cursor:
        cursor.execute(WAITS[of.vendor].format(victim))
        return cursor.fetchone() is not None


def wait_until(condition: Callable[[], Any]) -> None:
    """Return once the database says so: it calls nobody back."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)


def number_beside() -> int:
    """The number of the connection beside the caller's transaction."""
    return database.beside(number)


@contextmanager
def another() -> Iterator[Any]:
    """A connection of nobody else's, in autocommit."""
    made = connections.create_connection("default")
    try:
        yield made
    finally:
        made.close()


def cut(victim: int) -> None:
    """Have the server end a connection."""
    with another() as killer, killer.cursor() as cursor:
        cursor.execute(KILL[connection.vendor], [victim])


def impatient() -> None:
    """Fail where the test's connection would have to wait for somebody's lock."""
    with connection.cursor() as cursor:
        cursor.execute(IMPATIENT[connection.vendor])


def see_the_past(level: str = "REPEATABLE READ") -> None:
    """From the next transaction on, the test's connection sees what was when that began."""
    if connection.vendor in LEVEL:
        with connection.cursor() as cursor:
            cursor.execute(f"SET {LEVEL[connection.vendor]} TRANSACTION ISOLATION LEVEL {level}")


@contextmanager
def seeing_the_past(level: str = "REPEATABLE READ") -> Iterator[None]:
    """The same, for this block."""
    see_the_past(level)
    try:
        yield
    finally:
        connection.close()
