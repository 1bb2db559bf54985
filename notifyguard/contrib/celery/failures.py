"""What a worker's main process does about a task that its child could not end.

A child that was killed, or over its time limit, publishes no errbacks; the main process does,
where no task is on the stack. What came with the task holds for that too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from celery import signals

from notifyguard.contrib.celery import running

_HANDLING = ("on_failure", "on_timeout", "_announce_revoked", "_announce_cancelled")


def install() -> None:
    """Stand around Celery's handling of failures, once a worker has it: no other imports it."""
    signals.worker_init.connect(_wrap)
    if "celery.worker.request" in sys.modules:
        _wrap()


def _wrap(**_: Any) -> None:
    from celery.worker.request import Request

    for name in _HANDLING:
        method = Request.__dict__[name]
        if not hasattr(method, "__wrapped__"):
            setattr(Request, name, _on_behalf(method))


def _on_behalf(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def within(request: Any, *args: Any, **kwargs: Any) -> Any:
        with running.on_behalf_of(request.task.name, request._context, request.time_start):
            return method(request, *args, **kwargs)

    return within
