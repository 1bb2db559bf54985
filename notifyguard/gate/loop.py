"""Sending from a running event loop, where the ORM refuses to work.

Django's ``send()`` works there (and blocks the loop); so must the guarded one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.db import connections

from notifyguard import database
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import light

T = TypeVar("T")

_aside: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("notifyguard_loop", default=None)


def run(work: Callable[[], T]) -> T:
    """Do the ledger's work, with a loop that runs in this thread put aside meanwhile.

    The loop stands still until ``send()`` returns anyway. Without it the thread has
    its own connections, and the transaction that is open on one of them: a test's
    or a caller's.

    Raises:
        LedgerUnavailable: the transaction of a ``TestCase`` is open on the connection
            of another thread.
    """
    loop = _running()
    if loop is None:
        return _seen_by_the_test(work)
    with _running_instead(None):
        found_open = [
            each for each in connections.all(initialized_only=True) if each.connection is not None
        ]
        token = _aside.set(loop)
        try:
            return _seen_by_the_test(work)
        finally:
            _aside.reset(token)
            for each in connections.all(initialized_only=True):
                if each not in found_open:
                    each.close()  # no request ends in this thread, to close it then


@contextmanager
def resumed() -> Iterator[None]:
    """Let the loop run again, for the backend: it may look for it, as without notifyguard."""
    loop = _aside.get()
    if loop is None or asyncio._get_running_loop() is not None:
        yield
        return
    with _running_instead(loop):
        yield


def _running() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, if the ORM would refuse because of it."""
    return None if os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE") else asyncio._get_running_loop()


@contextmanager
def _running_instead(loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)


def _seen_by_the_test(work: Callable[[], T]) -> T:
    if light.testing() and database.testcase_is_elsewhere():
        raise LedgerUnavailable(_ELSEWHERE)
    return work()


_ELSEWHERE = (
    "A message was sent inside a TestCase, but not over the connection that has the test's "
    "transaction: the test would not see what the ledger says, and it would outlive the test. "
    "In an async test of Django send it with sync_to_async(message.send)(); or use "
    "TransactionTestCase, with pytest-django django_db(transaction=True)."
)
