"""What is known of the running code: what was said around it, and the tasks that it is part of."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifyguard import inherited
from notifyguard.context.tasks import Task
from notifyguard.notification import Notification
from notifyguard.patterns import matches


@dataclass(frozen=True, slots=True)
class Suppression:
    """One ``suppressed()`` or ``unsuppressed()`` block.

    Attributes:
        since: when it began to travel with tasks; ``None`` for a block of the running code.
        in_doubt: nobody knows whether it was said; what it stops is held.
    """

    pattern: str
    reason: str
    lifted: bool = False
    automatic: bool = False
    since: datetime | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Travelled:
    """What came with a task, or a message, from where it was queued, as it was read.

    Attributes:
        suppressions: said there, outermost first.
        notification: said there.
        task: that it came with, or what stands for one; ``None`` where there is only a context.
        origin: where the work began: ``web``, ``command``, …; "" if unknown.
    """

    suppressions: tuple[Suppression, ...] = ()
    notification: Notification | None = None
    task: Task | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Ambient:
    """Everything notifyguard knows about the running code, as one value."""

    suppressions: tuple[Suppression, ...] = ()
    notification: Notification | None = None
    task: Task | None = None
    origin: str = ""
    # As it was before the innermost block, and will be after it.
    around: Ambient | None = field(default=None, compare=False, repr=False)
    # The tasks that it knows of; one that started since is further inside.
    arrived: tuple[Travelled, ...] = field(default=(), compare=False, repr=False)


# The default, and so of every thread too: what a process inherited goes for all of it.
AT_START = Ambient(tuple(Suppression(*each) for each in inherited.suppressions()))
innermost: ContextVar[Ambient] = ContextVar("notifyguard_ambient", default=AT_START)
_arrivals: list[Callable[[], tuple[Travelled, ...]]] = []


def arrive_by(tell: Callable[[], tuple[Travelled, ...]]) -> None:
    """Ask an integration, from now on, what came with the tasks that are running here.

    Args:
        tell: returns it for each of the tasks that are running one inside the other in this
            thread, the outermost first; for one task always the same object. Must not raise.
    """
    if tell not in _arrivals:
        _arrivals.append(tell)


def current() -> Ambient:
    """Return the ambient context of the running code."""
    ambient = innermost.get()
    for tell in _arrivals:
        travelled = tell()
        if travelled and travelled != ambient.arrived:
            ambient = _arrived(ambient, travelled)
    return ambient


def _arrived(ambient: Ambient, travelled: tuple[Travelled, ...]) -> Ambient:
    """Take in the tasks that were started since the innermost block was entered."""
    suppressions, notification = ambient.suppressions, ambient.notification
    task, origin = ambient.task, ambient.origin
    for one in travelled:
        if one in ambient.arrived:
            continue
        # What is said in this process is nearer than what came from another one.
        suppressions = (*one.suppressions, *suppressions)
        notification = one.notification or notification
        # A task that runs inside another is a part of it: what is delivered again is that.
        task = replace(task, name=one.task.name) if task and one.task else one.task or task
        origin = origin or one.origin
    return Ambient(suppressions, notification, task, origin, ambient.around, travelled)


def suppressions_of(type: str) -> list[Suppression]:
    """Return the blocks that suppress a type, the innermost first, up to one that lifts it."""
    found = []
    for suppression in reversed(current().suppressions):
        if matches(suppression.pattern, type):
            if suppression.lifted:
                break
            found.append(suppression)
    return found


def suppression_of(type: str) -> Suppression | None:
    """Return the innermost block that matches the type, if it suppresses it."""
    return next(iter(suppressions_of(type)), None)
