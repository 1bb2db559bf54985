"""What is asked of a limiter, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from notifyguard.conf import Limit


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit, and what it is counted by.

    Attributes:
        counter: limits with the same counter count the same deliveries.
        limit: how many, within how long.
        recipient: whom it counts, normalised; ``None`` where all count together.
        critical: it counts critical types, which never share with others.
    """

    counter: UUID
    limit: Limit
    recipient: str | None = None
    critical: bool = False

    @property
    def window(self) -> int:
        """Microseconds for which a delivery counts."""
        return round((self.limit.seconds + self.limit.moment) * 1_000_000)


@dataclass(frozen=True, slots=True)
class Request:
    """One delivery that is about to leave, and all that it has to fit into.

    Attributes:
        delivery: its id; the same id is refunded.
        quotas: it leaves if there is room in all of them, and counts in all or none.
    """

    delivery: UUID
    quotas: tuple[Quota, ...]

    @property
    def counters(self) -> tuple[UUID, ...]:
        """Each counter once: two limits of one pattern count the same deliveries."""
        return tuple(dict.fromkeys(quota.counter for quota in self.quotas))


@dataclass(frozen=True, slots=True)
class Refusal:
    """There is no room now.

    Attributes:
        quota: the one that frees last.
        seconds: until there may be room.
    """

    quota: Quota
    seconds: float


class Limiter(Protocol):
    """Counts deliveries. Takes ``LIMITER`` as it was written, as a ``LimiterSettings``."""

    def acquire(self, requests: Sequence[Request]) -> list[Refusal | None]:
        """Count, in order, each delivery for which there is room; at most ``MOST`` at once.

        A delivery counts from this moment, by the clock of the server that counts. At
        no time do more than a limit's number count within its window, both ends
        included, however many processes ask.

        Returns:
            For each request ``None`` if it may leave, or why not.

        Raises:
            Exception: it cannot tell; the gate decides. What was counted all the same is
                conservative: it may keep back, never let out.
        """

    def refund(self, requests: Sequence[Request]) -> None:
        """Free what these deliveries counted, since they did not leave.

        What does not count, or no longer, is passed over.
        """

    def renew(self, requests: Sequence[Request]) -> None:
        """Let these deliveries count from this moment: only now have they left.

        What does not count, or no longer, is passed over.
        """
