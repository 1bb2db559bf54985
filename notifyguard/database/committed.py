"""What others committed, seen while a transaction of the caller is open.

Over a connection of our own beside the caller's. It is never one that the caller
could have to wait for, and never waited for long: where there is none (the server
takes no more, or a pooler gives it only when the caller is done) the caller's
connection is used, and the log says so.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard.database.standing import Standing, connection, in_memory, standing
from notifyguard.database.transactions import short_transaction

T = TypeVar("T")
logger = logging.getLogger("notifyguard")

PATIENCE = 5
"""Seconds after which we stop waiting for a connection beside the caller's."""

SEES_COMMITS = ["read committed", "read uncommitted"]
"""PostgreSQL's isolation levels under which each statement sees what was committed before it."""


class _Opened(threading.local):
    """Autocommit connections of our own, one for each connection of the thread."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.beside: dict[BaseDatabaseWrapper, BaseDatabaseWrapper] = {}


_opened = _Opened()
_missed: set[str] = set()


def read_committed(read: Callable[[BaseDatabaseWrapper], T]) -> T:
    """Read what others have committed.

    Over the caller's connection where that sees it: PostgreSQL can tell. Two
    connections for each request that sends mail would be one too many for many a
    server, and behind a pooler each could be waiting for the other.

    Args:
        read: as ``deed`` of ``beside``.
    """
    ours = connection()
    if standing() is not Standing.CALLER or in_memory(ours) or not _sees_commits(ours):
        return beside(read)
    with short_transaction():
        return read(ours)


def beside(deed: Callable[[BaseDatabaseWrapper], T]) -> T:
    """Do something over a connection beside the caller's, in autocommit.

    Only to read on SQLite: a second writer there deadlocks with the caller. An
    in-memory database and a test's transaction cannot be seen from beside; there
    the caller's connection is used, and where there is no transaction of a caller.

    Args:
        deed: given a connection, reads or writes one thing, over that one alone: it may
            be called again, and in another thread.

    Raises:
        OperationalError: SQLite's file is locked against readers.
    """
    ours = connection()
    if standing() is not Standing.CALLER or in_memory(ours):
        return deed(ours)
    work = partial(_reconnecting, _connection_beside(ours), deed)
    try:
        # SQLite is told not to wait, and MariaDB's driver for how long.
        done = _in_time(ours, work) if ours.vendor == "postgresql" else work()
    except (OperationalError, InterfaceError, TimeoutError) as error:
        if ours.vendor == "sqlite":
            raise
        _say_once(ours.alias, error)
        with short_transaction():
            return deed(ours)
    _missed.discard(ours.alias)
    return done


def close_beside(closed: BaseDatabaseWrapper) -> None:
    """Close the connection beside one that was closed: neither outlives the other."""
    other = _opened.beside.pop(closed, None)
    if other is not None:
        other.close()


def _sees_commits(ours: BaseDatabaseWrapper) -> bool:
    """Tell whether the caller's transaction sees what others commit; a broken one does not."""
    if ours.vendor != "postgresql":
        return False  # MariaDB shows the level of the session, not of the transaction
    try:
        with ours.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_isolation')")
            return cursor.fetchone()[0] in SEES_COMMITS
    except Error:
        return False


def _connection_beside(ours: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    if _opened.process != os.getpid():
        # A forked child must not talk over its parent's socket.
        _opened.__init__()  # type: ignore[misc]
    if ours not in _opened.beside:
        made = connections.create_connection(ours.alias)
        made.settings_dict = _settings_beside(ours)
        made.inc_thread_sharing()
        _opened.beside[ours] = made
    return _opened.beside[ours]


def _settings_beside(ours: BaseDatabaseWrapper) -> dict[str, Any]:
    # It ends with the caller's connection: by a CONN_MAX_AGE of its own (0 by default)
    # it would be opened anew for every message.
    options = {**ours.settings_dict["OPTIONS"]}
    # From the caller's pool it would take what another caller waits for.
    options.pop("pool", None)
    if ours.vendor == "sqlite":
        # A large transaction of the caller locks readers out until it ends; to wait
        # for that is to wait for ourselves.
        options["timeout"] = 0
    else:
        options["connect_timeout"] = PATIENCE
    if ours.vendor == "mysql":
        options["read_timeout"] = PATIENCE
    return {**ours.settings_dict, "AUTOCOMMIT": True, "CONN_MAX_AGE": None, "OPTIONS": options}


def _reconnecting(other: BaseDatabaseWrapper, deed: Callable[[BaseDatabaseWrapper], T]) -> T:
    """Do it, once more over a new connection if the server has cut the old one."""
    was_open, began = other.connection is not None, time.monotonic()
    try:
        with other.wrap_database_errors:
            return deed(other)
    except (OperationalError, InterfaceError):
        if other.connection is None or other.is_usable():
            raise
        other.close()
        if not was_open or time.monotonic() - began > PATIENCE / 2:
            raise  # not cut while it was idle: nobody answers
    return deed(other)


def _in_time(ours: BaseDatabaseWrapper, work: Callable[[], T]) -> T:
    """Do it in a thread, which is left behind with its connection if it takes too long.

    Behind PgBouncer to connect or to ask may wait for a server connection that only
    the caller's commit gives back, and no setting of the driver ends that.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # any: it is raised where it is waited for
            done.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="notifyguard", daemon=True).start()
    try:
        return done.result(PATIENCE)
    except TimeoutError:
        other = _opened.beside.pop(ours)
        done.add_done_callback(lambda _: other.close())
        raise


def _say_once(alias: str, error: Exception) -> None:
    # Once until it works again; and only the name, as everywhere in our log.
    if alias not in _missed:
        _missed.add(alias)
        logger.warning(
            "notifyguard: no connection beside the caller's transaction on %r (%s); the switches "
            "are read inside it. Under REPEATABLE READ it may not see one that was set meanwhile.",
            alias,
            type(error).__name__,
        )
