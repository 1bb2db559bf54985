"""What came with the tasks that run in this thread, read off Celery's stack of them.

Read when it is asked for, and from every task on the stack: so it holds for the task's own
code, for ``before_start`` and ``on_success``, for its callbacks, and for signal receivers,
and there is nothing that could be forgotten to be set or reset.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery._state import _task_stack

from notifyguard.channels import inference
from notifyguard.context import Task, Travelled, travelling
from notifyguard.contrib.celery.header import HEADER

_KEPT = "_notifyguard_travelled"
_BEGAN = "_notifyguard_began"
_behalf: ContextVar[tuple[Travelled, ...]] = ContextVar("notifyguard_behalf", default=())


def arrived() -> tuple[Travelled, ...]:
    """Return what came with each of the tasks that run here, the outermost first."""
    stack = _task_stack.stack
    outer = _behalf.get()
    return (*outer, *(travelled(*each) for each in _requests(stack))) if stack else outer


def started(task: Any, **_: Any) -> None:
    """Take the time: a receiver of Celery's ``task_prerun``. The rest is read by who asks."""
    if (request := task.request_stack.top) is not None:
        request.__dict__[_BEGAN] = time.time()


@contextmanager
def on_behalf_of(name: str, request: Any, began_at: float | None) -> Iterator[None]:
    """Say that what runs inside belongs to a task that runs, or ran, in another process.

    Celery handles a failure more than once where a time limit ended the task. Each is a run
    of its own, as of a task that is delivered again, so that the same mail leaves once.

    Args:
        name: of the task.
        request: Celery's context of it.
        began_at: seconds since 1970; ``None`` if it never began.
    """
    token = _behalf.set((_read(name, request, began_at),))
    try:
        yield
    finally:
        _behalf.reset(token)


def travelled(name: str, request: Any) -> Travelled:
    """Return what came with one task; for one request always the same object.

    Args:
        name: of the task.
        request: Celery's context of it.
    """
    kept: Travelled | None = request.__dict__.get(_KEPT)
    if kept is None:
        kept = _read(name, request, request.__dict__.get(_BEGAN))
        request.__dict__[_KEPT] = kept
    return kept


def _read(name: str, request: Any, began_at: float | None) -> Travelled:
    said = travelling.read(_header_of(request))
    began = datetime.fromtimestamp(began_at or time.time(), UTC)
    task = Task(name, request.id or "", said.due_at, began, said.behind)
    return Travelled(said.suppressions, said.notification, task, said.origin or _here(request))


def _header_of(request: Any) -> object:
    # Of a message of protocol 1, and of a task that another one applies, only in ``headers``.
    return getattr(request, HEADER, None) or (request.headers or {}).get(HEADER)


def _here(request: Any) -> str:
    """Return where the work of a task began that is not run by a worker; else nothing."""
    if request.called_directly or request.is_eager:
        return inference.whence().origin
    return ""


def _requests(stack: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tasks on the stack with their requests; a task may stand there more than once."""
    depth: dict[int, int] = {}
    for task in stack:
        requests = task.request_stack.stack or []
        place = depth.get(id(task), 0)
        depth[id(task)] = place + 1
        if place < len(requests):
            yield task.name, requests[place]
