"""Whom a migration or a script would notify, told before it is run."""

from __future__ import annotations

from collections import Counter

from notifyguard.models import Delivery
from notifyguard.testing import found


class Rehearsal:
    """Whom some code would have notified, had nothing stopped it.

    Everybody counts whom it tried to notify: those who were spared because it ran
    suppressed, and those whom an inform step told.

    Attributes:
        attempts: the deliveries it came to, filled when the block ends.
    """

    def __init__(self) -> None:
        self.attempts: list[Delivery] = []

    @property
    def would_notify(self) -> int:
        """The number of distinct people."""
        return len(self.recipients())

    @property
    def by_type(self) -> dict[str, int]:
        """The number of distinct people by notification type."""
        pairs = {(row.type, row.recipient) for row in self.attempts}
        return dict(sorted(Counter(type for type, _ in pairs).items()))

    def recipients(self, type: str = "*") -> list[str]:
        """Return the addresses, each once, in order.

        Args:
            type: only of these notification types.
        """
        return sorted({row.recipient for row in self.attempts if found.fits(row, type)})

    def assert_notifies(self, count: int, *, type: str = "*") -> None:
        """Assert how many distinct people it would notify.

        Args:
            count: so many.
            type: by these notification types.

        Raises:
            AssertionError: it is another number; the message lists them by type.
        """
        __tracebackhide__ = True
        people = len(self.recipients(type))
        if people != count:
            types = "\n".join(f"  {name}: {number:,}" for name, number in self.by_type.items())
            raise AssertionError(
                f"This would notify {people:,} people (type={type!r}), not {count:,}."
                f"\nBy type:\n{types or '  nobody'}\nIn all:\n{found.listed(self.attempts)}"
            )
