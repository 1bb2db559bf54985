"""Reading ahead: to find the next few of what is held, a database sorts all of it."""

from __future__ import annotations

from collections import deque
from uuid import UUID

from notifyguard.ledger.held.choice import Held, Meant

READ = 5_000
"""Rows that are read at once, and are in memory."""


class Ahead:
    """The next rows of what was meant, read before they are asked for.

    Others may work on the same rows: what they have looked at meanwhile is passed over.
    """

    def __init__(self, what: Meant) -> None:
        self.what = what
        self._rows: deque[Held] = deque()
        self._after: UUID | None = None

    def next(self, after: UUID | None, size: int) -> list[Held]:
        """Return the next rows behind the one that was looked at last; none at the end.

        Some may have been moved since they were read.

        Args:
            after: the last row that anybody has looked at; ``None`` to begin.
            size: how many at most.
        """
        if not self._stands_at(after):
            self._rows = deque(self.what.read(after, READ))
        found = [self._rows.popleft() for _ in range(min(size, len(self._rows)))]
        self._after = found[-1].id if found else after
        return found

    def _stands_at(self, after: UUID | None) -> bool:
        if self._after != after:
            while self._rows and self._rows.popleft().id != after:
                pass
        return bool(self._rows)
