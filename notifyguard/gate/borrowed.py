"""Connections that we open in a thread of somebody else are closed when that thread ends.

Projects and queue backends send from threads of their own that ask no database.
Django closes connections at the end of a request, and of no thread: each would
keep one open until the garbage collector comes by.
"""

from __future__ import annotations

import threading

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import database


def watch() -> None:
    """Have the ledger's connection closed with this thread, if nobody has opened it so far."""
    if threading.current_thread() is threading.main_thread():
        return
    ours = database.connection()
    if ours.connection is None:
        _thread.opened = _Closing(ours)


class _Closing:
    """Closes a connection when it is dropped, as what a thread keeps is when the thread ends."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper

    def __del__(self) -> None:
        # Somebody else's thread by now: this connection lives on elsewhere.
        if self._wrapper._thread_ident == threading.get_ident():  # type: ignore[attr-defined]
            self._wrapper.close()


_thread = threading.local()
