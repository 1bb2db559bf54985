"""Timing two sides of a comparison in turns, so that a busy machine burdens both alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

BLOCKS = 9
"""Ratios per measure; their middle is what is shown, the others say how sure it is."""

Timed = Callable[[], bool]
Side = Callable[[], Timed]
"""Builds what one pass needs, and returns what is timed; that returns whether all went well."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A comparison.

    Attributes:
        name: what is measured.
        against: what it is compared with.
        aim: the ratio that it should not exceed.
        ours: the guarded side.
        base: the other side.
        pairs: passes of each side in one block.
    """

    name: str
    against: str
    aim: float
    ours: Side
    base: Side
    pairs: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a comparison: medians in seconds, and the ratio of each block."""

    name: str
    against: str
    aim: float
    ours: float
    base: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return median(self.ratios)


def compared(measure: Measure, *, quick: bool = False) -> Result:
    """Run both sides in turns, A B A B; the ratio of a block is that of its medians."""
    blocks = 3 if quick else BLOCKS
    pairs = max(1, measure.pairs // 5) if quick else measure.pairs
    for side in (measure.ours, measure.base) * min(pairs, 5):
        _seconds(side)  # what is done once in a process is no part of the price
    timed = [_block(measure, pairs) for _ in range(blocks)]
    return Result(
        name=measure.name,
        against=measure.against,
        aim=measure.aim,
        ours=median(ours for ours, _ in timed),
        base=median(base for _, base in timed),
        ratios=tuple(sorted(ours / base for ours, base in timed)),
    )


def _block(measure: Measure, pairs: int) -> tuple[float, float]:
    gc.collect()
    times = [(_seconds(measure.ours), _seconds(measure.base)) for _ in range(pairs)]
    return median(ours for ours, _ in times), median(base for _, base in times)


def _seconds(side: Side) -> float:
    timed = side()
    begun = time.perf_counter()
    went_well = timed()
    seconds = time.perf_counter() - begun
    if not went_well:
        raise RuntimeError(f"{side.__qualname__} did not do what is measured here")
    return seconds
