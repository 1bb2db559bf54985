"""Sending from a running event loop, where the ORM refuses to work.

Django's ``send()`` works there (and blocks the loop); so must the guarded one.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

from notifyguard import database
from notifyguard.exceptions import LedgerUnavailable

T = TypeVar("T")


def is_running() -> bool:
    """Tell whether an event loop runs in this thread and the ORM would refuse."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")


def run(work: Callable[[], T]) -> T:
    """Do the work here, or where a loop runs in a thread with a connection of its own.

    Raises:
        LedgerUnavailable: another connection cannot see this ledger.
    """
    if not is_running():
        return work()
    ours = database.connection()
    if ours.in_atomic_block or database.in_memory(ours):
        raise LedgerUnavailable(
            "A message was sent from a running event loop, and the ledger's database "
            "(in memory, or inside a test's transaction) cannot be reached from another "
            "thread. Send it with sync_to_async(message.send)()."
        )
    with ThreadPoolExecutor(1, thread_name_prefix="notifyguard") as threads:
        return threads.submit(contextvars.copy_context().run, _and_close, work).result()


def _and_close(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()
