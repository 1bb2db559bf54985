"""The SMTP server of the tests: the example project's sink, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
POLL = 0.01  # seconds; the journal is a file of another process, it cannot call back


@dataclass(frozen=True)
class Sink:
    """A running sink: where it listens, and what it has written down."""

    process: subprocess.Popen[str]
    port: int
    journal: Path

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return what was journalled so far, all of it or one kind of event."""
        written = self.journal.read_text().splitlines(keepends=True)
        lines = [json.loads(line) for line in written if line.endswith("\n")]
        return [line for line in lines if event in (None, line["event"])]

    def accepted(self) -> list[dict[str, Any]]:
        """Return the envelopes that were accepted, in that order."""
        return self.lines("accepted")

    def wait_for(self, count: int, timeout: float = 10) -> list[dict[str, Any]]:
        """Return the accepted envelopes once there are ``count``.

        Raises:
            TimeoutError: fewer were accepted within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(accepted := self.accepted()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(accepted)} of {count} accepted in {timeout} s")
            time.sleep(POLL)
        return accepted


@contextmanager
def running_sink(*options: str) -> Iterator[Sink]:
    """Start a sink with more command line ``options``; end it and forget its journal."""
    with tempfile.TemporaryDirectory() as directory:
        journal = Path(directory, "journal.jsonl")
        command = [sys.executable, "-m", "example_project.sink", "--until-eof"]
        # Leaving Popen's block closes the input, at which the sink ends: also when a
        # killed test never gets there.
        with subprocess.Popen(
            [*command, "--journal", str(journal), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        ) as process:
            assert process.stdout is not None
            ready = process.stdout.readline().split()
            if ready[:1] != ["ready"]:
                raise RuntimeError(f"the sink ended with status {process.wait()}")
            yield Sink(process, int(ready[1]), journal)
