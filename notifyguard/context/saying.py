"""What code says about the messages that it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from notifyguard.context.ambient import AT_START, Ambient, Suppression, Travelled, current
from notifyguard.context.block import Block, wrapped
from notifyguard.context.tasks import Task
from notifyguard.notification import notification_of
from notifyguard.patterns import fault

P = ParamSpec("P")
R = TypeVar("R")


def suppressed(pattern: str = "*", *, reason: str, automatic: bool = False) -> Block:
    """Make the code inside notify nobody; a context manager and a decorator.

    Also for what is registered with ``on_commit`` inside.

    Args:
        pattern: the notification types meant, ``ticket.*``; without it everything.
        reason: why, for whoever looks later.
        automatic: the guard's own suppression (``migrate``), which
            ``MODE = "observe"`` only reports.

    Raises:
        ValueError: the reason is blank or the pattern cannot be used.
    """
    return _suppressions(Suppression(_checked(pattern), _reason(reason), automatic=automatic))


def unsuppressed(pattern: str = "*", *, reason: str) -> Block:
    """Lift the suppression around it for some types: the inform step.

    Switches, limits and every other rule still hold.

    Args:
        pattern: the notification types meant, ``ticket.announcement``.
        reason: why, for whoever looks later.

    Raises:
        ValueError: the reason is blank or the pattern cannot be used.
    """
    return _suppressions(Suppression(_checked(pattern), _reason(reason), lifted=True))


def notification(
    type: str,
    *,
    key: object = None,
    max_age: timedelta | None = None,
    send_at: datetime | None = None,
    supersedes: object = None,
) -> Block:
    """Say what is sent inside: its type and, to have it leave once, its key.

    Args:
        type: the notification type, ``ticket.modified``.
        key: the idempotency key, for example ``f"ticket:{t.pk}:{t.version}"``.
        max_age: how long after it was due it may still leave; else what its type says.
        send_at: when it is to leave, with its time zone; ``None`` for at once.
        supersedes: of those that wait with the same, ``f"ticket:{t.pk}"``, the last leaves.

    Raises:
        TypeError, ValueError: one of them cannot be used.
    """
    said = notification_of(type, key, max_age, send_at, supersedes)
    return Block(lambda ambient: replace(ambient, notification=said))


@contextmanager
def running_task(task: Task) -> Iterator[None]:
    """Say that a background task runs inside; for integrations."""
    with Block(lambda ambient: replace(ambient, task=task)):
        yield


def queued(travelled: Travelled) -> Block:
    """Say that what is sent inside was queued elsewhere, by whom, and what was said of it there.

    What is said here goes for all that is sent here. Nothing else does: the task that empties
    a queue is not the one that the messages in it are from.

    Args:
        travelled: what came with the message.
    """
    return Block(
        lambda ambient: replace(
            ambient,
            suppressions=(*travelled.suppressions, *ambient.suppressions),
            notification=travelled.notification,
            task=travelled.task,
            origin=travelled.origin,
        )
    )


@contextmanager
def handing_over() -> Iterator[None]:
    """Clear the notification while a backend works, and count nothing for its task.

    A backend that copies messages and sends them on would otherwise have its
    copies taken for duplicates of the message it was given.
    """

    def cleared(ambient: Ambient) -> Ambient:
        task = ambient.task and replace(ambient.task, run=None)
        return replace(ambient, notification=None, task=task)

    with Block(cleared):
        yield


@contextmanager
def unsaid() -> Iterator[None]:
    """Forget what the running code says: for mail that is not its own, such as an alert."""
    with Block(lambda _: AT_START):
        yield


def bind(func: Callable[P, R]) -> Callable[P, R]:
    """Return ``func`` bound to the present context, for threads and executors.

    Args:
        func: a function or coroutine function that will run elsewhere or later.

    Returns:
        A function that runs ``func`` in the notifyguard context of this moment.
    """
    captured = current()
    return wrapped(func, lambda: Block(lambda _: captured))


def _suppressions(suppression: Suppression) -> Block:
    return Block(
        lambda ambient: replace(ambient, suppressions=(*ambient.suppressions, suppression))
    )


def _checked(pattern: object) -> str:
    if problem := fault(pattern):
        # One that silently matches nothing would let out what it was meant to stop.
        raise ValueError(f"{pattern!r} is no pattern of notification types. {problem}")
    return str(pattern)


def _reason(reason: object) -> str:
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("Give a reason: whoever looks at 2 a.m. will need to know why.")
    return reason.strip()
