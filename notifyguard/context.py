"""The ambient context: what the running code says about the messages it sends.

Context variables travel into coroutines, and each block knows what was around it, so blocks nest.
Plain threads and executors do not inherit them: wrap the function with ``bind``.
What the whole process is to suppress comes from its environment: ``NOTIFYGUARD_SUPPRESS``.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from threading import RLock
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from notifyguard import inherited
from notifyguard.notification import Notification, notification_of
from notifyguard.patterns import fault, matches

P = ParamSpec("P")
R = TypeVar("R")


LATE_AFTER = timedelta(minutes=1)
"""A task that starts later than this after it was due is late; queues always take a moment."""


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


class Run:
    """One run of a task: tells the messages apart that look the same in it."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._free: dict[tuple[str, ...], list[int]] = {}
        # A number may be given back while another is counted, by what is collected then.
        self._lock = RLock()

    def count(self, *parts: str) -> int:
        """Return how many messages with these parts there were before in this run."""
        with self._lock:
            if free := self._free.get(parts):
                return heappop(free)
            self._counted[parts] += 1
            return self._counted[parts] - 1

    def give_back(self, number: int, *parts: str) -> None:
        """Count a message as never sent: whoever sends it again in this run means the same."""
        with self._lock:
            heappush(self._free.setdefault(parts, []), number)


@dataclass(frozen=True, slots=True)
class Task:
    """The background task that is running, as its integration describes it.

    Attributes:
        name: of the task.
        id: of this one; the same when it is delivered again.
        due_at: when it was meant to run, with its time zone, if that is known.
        started_at: when it did; ``None`` for now.
        behind: the late tasks that led to it, by name, the first one first.
        run: of it; delivered again it is another. ``None`` while it hands a message over.
    """

    name: str
    id: str
    due_at: datetime | None = None
    started_at: datetime | None = None
    behind: tuple[str, ...] = ()
    run: Run | None = field(default_factory=Run, compare=False, repr=False)

    @property
    def late_by(self) -> timedelta:
        """How long after it was due it started; nothing for what queues always take.

        A task that runs for hours is as late at its end as it was at its beginning.
        """
        if self.due_at is None:
            return timedelta(0)
        late_by = (self.started_at or datetime.now(UTC)) - self.due_at
        return late_by if late_by > LATE_AFTER else timedelta(0)

    @property
    def now_due_at(self) -> datetime | None:
        """When what it does now was meant to be done; ``None`` if it is not late."""
        return datetime.now(UTC) - self.late_by if self.late_by else None


@dataclass(frozen=True, slots=True, eq=False)
class Travelled:
    """What came with a task from where it was enqueued, as its integration read it.

    Attributes:
        suppressions: said there, outermost first.
        notification: said there.
        task: that it came with; ``None`` where there is only a context.
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
_AT_START = Ambient(tuple(Suppression(*each) for each in inherited.suppressions()))
_ambient: ContextVar[Ambient] = ContextVar("notifyguard_ambient", default=_AT_START)
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
    ambient = _ambient.get()
    for tell in _arrivals:
        travelled = tell()
        if travelled and travelled != ambient.arrived:
            ambient = _arrived(ambient, travelled)
    return ambient


def _arrived(ambient: Ambient, travelled: tuple[Travelled, ...]) -> Ambient:
    """Take in the tasks that were started since the innermost block was entered."""
    for one in travelled:
        if one in ambient.arrived:
            continue
        task = one.task
        if task and ambient.task:
            # A task that runs inside another is a part of it: what is delivered again is that.
            task = replace(ambient.task, name=task.name)
        ambient = replace(
            ambient,
            # What is said in this process is nearer than what came from another one.
            suppressions=(*one.suppressions, *ambient.suppressions),
            notification=one.notification or ambient.notification,
            task=task or ambient.task,
            origin=ambient.origin or one.origin,
        )
    return replace(ambient, arrived=travelled)


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


class _Block(ContextDecorator):
    """A change of the ambient context, for a block or a function; threads may share one."""

    def __init__(self, change: Callable[[Ambient], Ambient]) -> None:
        self._change = change

    def __enter__(self) -> None:
        inside = current()
        changed = self._change(inside)
        _ambient.set(replace(changed, around=_ambient.get(), arrived=inside.arrived))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _ambient.set(_ambient.get().around or _AT_START)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:  # type: ignore[override]
        return _wrapped(func, lambda: self)


def suppressed(pattern: str = "*", *, reason: str, automatic: bool = False) -> _Block:
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


def unsuppressed(pattern: str = "*", *, reason: str) -> _Block:
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
) -> _Block:
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
    return _Block(lambda ambient: replace(ambient, notification=said))


@contextmanager
def running_task(task: Task) -> Iterator[None]:
    """Say that a background task runs inside; for integrations."""
    with _Block(lambda ambient: replace(ambient, task=task)):
        yield


@contextmanager
def handing_over() -> Iterator[None]:
    """Clear the notification while a backend works, and count nothing for its task.

    A backend that copies messages and sends them on would otherwise have its
    copies taken for duplicates of the message it was given.
    """

    def cleared(ambient: Ambient) -> Ambient:
        task = ambient.task and replace(ambient.task, run=None)
        return replace(ambient, notification=None, task=task)

    with _Block(cleared):
        yield


@contextmanager
def unsaid() -> Iterator[None]:
    """Forget what the running code says: for mail that is not its own, such as an alert."""
    with _Block(lambda _: _AT_START):
        yield


def bind(func: Callable[P, R]) -> Callable[P, R]:
    """Return ``func`` bound to the present context, for threads and executors.

    Args:
        func: a function or coroutine function that will run elsewhere or later.

    Returns:
        A function that runs ``func`` in the notifyguard context of this moment.
    """
    captured = current()
    return _wrapped(func, lambda: _Block(lambda _: captured))


def _wrapped(func: Callable[P, R], block: Callable[[], _Block]) -> Callable[P, R]:
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        # Its body runs after the call has returned: what it sends would get out.
        raise TypeError(
            f"{func.__qualname__} is a generator and runs outside of the block. Decorate the "
            "function that runs through it, or say it inside with a 'with' statement."
        )
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def in_block_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with block():
                return await func(*args, **kwargs)

        return in_block_async  # type: ignore[return-value]

    @functools.wraps(func)
    def in_block(*args: P.args, **kwargs: P.kwargs) -> R:
        with block():
            return func(*args, **kwargs)

    return in_block


def _suppressions(suppression: Suppression) -> _Block:
    return _Block(
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
