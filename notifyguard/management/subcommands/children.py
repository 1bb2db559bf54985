"""Running another program in the foreground, as a shell does."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program until it ends; it shares our terminal.

    Args:
        words: the program and its arguments.
        environment: all of its environment variables.

    Returns:
        Its exit status; 128 and the number of the signal that ended it, as shells have it.
    """
    with subprocess.Popen(words, env=environment) as child, _signals_for(child):
        status = child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _signals_for(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave it to the child to end, so that what it did is told afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches the child by itself: the terminal sends it to both.
        if number != signal.SIGINT:
            child.send_signal(number)

    numbers = (*PASSED_ON, signal.SIGINT)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
