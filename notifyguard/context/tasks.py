"""The background task that is running, and what came with it from where it was enqueued."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from threading import RLock

LATE_AFTER = timedelta(minutes=1)
"""A task that starts later than this after it was due is late; queues always take a moment."""


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
