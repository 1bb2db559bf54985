"""Ending between two steps, and not within one, when the process is told to."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
"""Exit status of what was ended by Ctrl-C, as shells have it."""


class Stop:
    """Whether this process was told to end, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        # Its put() may be called from a signal handler; that of an Event may deadlock there.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.told = False

    def tell(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.told = True
        self._signals.put(number)

    def wait(self, seconds: float) -> None:
        """Wait, unless told to end before the time is up."""
        try:
            self._signals.get(timeout=seconds)
        except queue.Empty:
            pass


@contextmanager
def between_steps() -> Iterator[Stop]:
    """Turn the signals that end a process into a word that is looked at between two steps.

    Broken off in the middle of a hand-over, a message would be uncertain.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread is told of signals
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop.tell) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
