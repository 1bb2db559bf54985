"""When a task is due: what a backlog has kept waiting is late, and so is what it goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery.utils.time import maybe_make_aware

from notifyguard.context import Task


@dataclass(frozen=True, slots=True)
class Due:
    """When a task is meant to run, and the late tasks that led to it."""

    at: datetime
    behind: tuple[str, ...] = ()


def due(name: str, task_id: str, eta: datetime | None, by: Task | None, now: datetime) -> Due:
    """Return when a task that is published now was meant to be.

    Args:
        name: of the task.
        task_id: of it; a retry has that of the task that it retries.
        eta: when it is to run; ``None`` for at once.
        by: the task that publishes it, if one does.
    """
    if by is None or not by.late_by:
        return Due(eta or now)
    if task_id == by.id:
        return Due((eta or now) - by.late_by, by.behind)
    # Once late, a task that goes on by enqueueing itself, or two that enqueue each other,
    # would be late for ever: it starts anew.
    if eta or name == by.name or name in by.behind:
        return Due(eta or now)
    return Due(now - by.late_by, (*by.behind, by.name))


def eta_of(message: Any, zone: Any) -> datetime | None:
    """Return when a message asks to be run, which Celery has written as text.

    Args:
        message: Celery's tuple of headers, properties, body and event.
        zone: of the Celery app, which is meant where the text names none.
    """
    told = message.body if isinstance(message.body, dict) else message.headers
    written = told.get("eta")  # a project's own AMQP class may leave it out
    try:
        return maybe_make_aware(datetime.fromisoformat(written), zone) if written else None
    except (ValueError, TypeError, OverflowError):
        return None  # the worker will refuse it
