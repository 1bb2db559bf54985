"""What happens in worker processes, as lines of one file that all of them and the tests see.

A worker writes when it is ready, when a child starts, and when a task begins and ends; tasks
write what they like. The test waits for a line, never for seconds.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "TESTS_JOURNAL"
WITHIN = 30.0  # seconds; a worker starts in two, on a busy machine in ten
POLL = 0.01  # seconds; it is the file of another process, which cannot call back


def write(event: str, **facts: Any) -> None:
    """Add a line, if this process has a journal; safe from any number of processes."""
    if path := os.environ.get(VARIABLE):
        line = json.dumps({"event": event, "pid": os.getpid(), "at": time.time(), **facts})
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)


@dataclass(frozen=True)
class Journal:
    """The file, as the test reads it."""

    path: Path

    def lines(self, event: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """Return the lines so far that are of this event and hold these facts."""
        if not self.path.exists():
            return []
        written = self.path.read_text().splitlines(keepends=True)
        lines = [json.loads(line) for line in written if line.endswith("\n")]
        meant = {"event": event} | facts if event else facts
        return [line for line in lines if meant.items() <= line.items()]

    def wait_for(
        self, event: str, count: int = 1, timeout: float = WITHIN, **facts: Any
    ) -> list[dict[str, Any]]:
        """Return those lines once there are ``count``.

        Raises:
            TimeoutError: there were fewer within ``timeout`` seconds.
        """
        until = time.monotonic() + timeout
        while len(lines := self.lines(event, **facts)) < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(lines)} of {count} {event} {facts} in {timeout} s")
            time.sleep(POLL)
        return lines
