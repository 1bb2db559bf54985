"""The mail server of a replay: the sink, in a process of its own, and its journal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from example_project.demo.deployment import ROOT, ended_with_the_block, ready


@dataclass(frozen=True)
class Envelope:
    """One mail that the server has accepted. ``at`` is in seconds since the epoch."""

    at: float
    recipients: tuple[str, ...]
    subject: str
    blank: bool


@dataclass(frozen=True)
class MailServer:
    """A running server on a loopback port."""

    port: int
    journal: Path

    def accepted(self, subject: str = "") -> list[Envelope]:
        """Return what was accepted so far whose subject begins with ``subject``."""
        lines = map(json.loads, self.journal.read_text().splitlines())
        return [
            Envelope(line["at"], tuple(line["to"]), line["subject"], line["blank"])
            for line in lines
            if line["event"] == "accepted" and line["subject"].startswith(subject)
        ]


@contextmanager
def running_mail_server(journal: Path) -> Iterator[MailServer]:
    """Run a mail server on a free port that writes what it accepts to ``journal``."""
    command = [sys.executable, "-m", "example_project.sink", "--until-eof"]
    process = subprocess.Popen(
        [*command, "--journal", str(journal)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ended_with_the_block(process):
        try:
            yield MailServer(int(ready(process)), journal)
        finally:
            process.communicate()  # the end of its input is what it waits for
