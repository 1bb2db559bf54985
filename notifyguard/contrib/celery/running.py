"""What came with the tasks that run in this thread, read off Celery's stack of them.

Read when it is asked for, and from every task on the stack: so it holds for the task's own
code, for ``before_start`` and ``on_success``, for its callbacks, and for signal receivers,
and there is nothing that could be forgotten to be set or reset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from celery._state import _task_stack

from notifyguard.context import Task, Travelled
from notifyguard.contrib.celery import header

_KEPT = "_notifyguard_travelled"


def arrived() -> tuple[Travelled, ...]:
    """Return what came with each of the tasks that run here, the outermost first."""
    stack = _task_stack.stack
    return tuple(_travelled(*each) for each in _requests(stack)) if stack else ()


def _requests(stack: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tasks on the stack with their requests; a task may stand there more than once."""
    depth: Counter[int] = Counter()
    for task in stack:
        requests = task.request_stack.stack or []
        place = depth[id(task)]
        depth[id(task)] += 1
        if place < len(requests):
            yield task.name, requests[place]


def _travelled(name: str, request: Any) -> Travelled:
    kept: Travelled | None = request.__dict__.get(_KEPT)
    if kept is None:
        kept = request.__dict__[_KEPT] = read(name, request)
    return kept


def read(name: str, request: Any) -> Travelled:
    """Return what came with one task.

    Args:
        name: of the task.
        request: Celery's context of it.
    """
    said = header.read(getattr(request, header.HEADER, None))
    task = Task(name, request.id or "", said.due_at, started_at=datetime.now(UTC))
    return Travelled(said.suppressions, said.notification, task, said.origin)
