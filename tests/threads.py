"""Threads of a test, each with connections of its own that it closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connections

TIMEOUT = 15  # seconds; only a test that fails waits so long


class Threads:
    """Starts functions in threads; ``wait`` raises what they raised."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._started: list[Future[Any]] = []

    def start(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = self._pool.submit(_and_close, work, *arguments)
        self._started.append(future)
        return future

    def wait(self) -> list[Any]:
        return [future.result(TIMEOUT) for future in self._started]


@contextmanager
def threads(count: int) -> Iterator[Threads]:
    with ThreadPoolExecutor(count) as pool:
        started = Threads(pool)
        yield started
        started.wait()


def _and_close(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return work(*arguments)
    finally:
        connections.close_all()
