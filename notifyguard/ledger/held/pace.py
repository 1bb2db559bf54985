"""How fast a release may go: so many deliveries at once, and the pause after them.

Never more than the rate in any minute, and about a second's worth at once.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil

PORTION = 200
"""Deliveries that a release without a rate lets go at once: what is queued when it is paused."""

MINUTE = 60


def portion(rate: int | None) -> int:
    """Return how many deliveries may be let go at once.

    Args:
        rate: deliveries a minute; ``None`` for as fast as can be.
    """
    return PORTION if rate is None else max(1, rate // MINUTE)


def pause(rate: int | None) -> timedelta:
    """Return how long nothing more may be let go after a portion."""
    if rate is None:
        return timedelta(0)
    # Whole portions and microseconds, so that no minute holds more than the rate.
    return timedelta(microseconds=ceil(MINUTE * 1_000_000 / (rate // portion(rate))))
