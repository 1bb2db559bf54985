"""Database connections: the context of what waits for a commit, and the end of a connection.

What is registered with ``on_commit`` while code is suppressed stays suppressed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import context, database
from notifyguard.hooks import patching

_NOTHING_SAID = context.Ambient()


def install() -> None:
    """Wrap ``on_commit`` and ``close`` of every database connection."""
    patching.replace(BaseDatabaseWrapper, "on_commit", _capturing)
    patching.replace(BaseDatabaseWrapper, "close", _closing_beside)


def _capturing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def on_commit(self: BaseDatabaseWrapper, func: Any, *args: Any, **kwargs: Any) -> Any:
        # Untouched where nothing was said: tests compare captured callbacks by identity.
        # What cannot be called is Django's to refuse.
        if callable(func) and context.current() != _NOTHING_SAID:
            func = context.bind(func)
        return original(self, func, *args, **kwargs)

    return on_commit


def _closing_beside(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def close(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> Any:
        database.close_beside(self)
        return original(self, *args, **kwargs)

    return close
