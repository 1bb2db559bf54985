"""Long-running commands say how far they are, one ``done/total`` per line."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

LINES = 50


def with_progress(items: Sequence[Item]) -> Iterator[Item]:
    """Yield each item; after it was worked on, print ``done/total``, about fifty times in all."""
    total = len(items)
    step = max(1, total // LINES)
    for done, item in enumerate(items, start=1):
        yield item
        if done % step == 0 or done == total:
            print(f"{done}/{total}", flush=True)
