"""One installation of the example project, run by processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from example_project.demo.broker import Broker

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 10  # seconds for a process to end once it was asked to
PROGRESS = re.compile(r"(\d+)/(\d+)$")

Process = subprocess.Popen[str]


class DemoError(Exception):
    """A process of the demo ended with an error; the message holds the end of its log."""


@dataclass(frozen=True)
class Deployment:
    """Where one installation keeps its data and hands in its mail.

    ``guarded`` decides whether notifyguard is in ``INSTALLED_APPS``, and nothing
    else. ``database`` and ``database_name`` are ``EXAMPLE_DB`` and
    ``EXAMPLE_DB_NAME`` of the settings. ``log`` gets what the processes complain of. With
    ``broker`` tasks of Celery send what a saved ticket sends.
    """

    guarded: bool
    smtp_port: int
    database_name: str
    log: Path
    database: str = "sqlite"
    broker: Broker | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment variables of this installation's processes."""
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "EXAMPLE_DB": self.database,
            "EXAMPLE_DB_NAME": self.database_name,
            "EXAMPLE_NOTIFYGUARD": "1" if self.guarded else "0",
            "EXAMPLE_SMTP_PORT": str(self.smtp_port),
            "PYTHONUNBUFFERED": "1",
            "EXAMPLE_BROKER": "",
            **(self.broker.environment() if self.broker else {}),
        }

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Process]:
        """Run ``manage.py`` with ``arguments`` while the block runs; end it with the block."""
        command = [sys.executable, "-m", "example_project", *arguments]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        with ended_with_the_block(process):
            yield process

    def run(self, *arguments: str) -> None:
        """Run ``manage.py`` with ``arguments`` to its end; raise ``DemoError`` if it fails."""
        with self.started(*arguments) as process:
            self.finish(process)

    def output(self, *arguments: str) -> str:
        """Run ``manage.py`` with ``arguments``; return what it prints on standard output."""
        with self.started(*arguments) as process:
            return self.finish(process)

    def finish(self, process: Process) -> str:
        """Wait for a process to end by itself; return what it printed since it was last read.

        Raises:
            DemoError: it failed.
        """
        printed, _ = process.communicate()
        if process.returncode:
            complaint = "".join(self.log.read_text().splitlines(keepends=True)[-15:])
            arguments = process.args if isinstance(process.args, list) else []
            raise DemoError(f"{' '.join(map(str, arguments[3:]))} failed:\n{complaint}")
        return printed


@contextmanager
def ended_with_the_block(process: Process) -> Iterator[None]:
    """Make sure that the process is gone and its pipes are closed."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def ready(process: Process) -> str:
    """Wait for the line ``ready …`` and return what follows the word; raise ``DemoError``."""
    assert process.stdout
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "ready":
            return rest
    raise DemoError(f"a process ended before it was ready, with status {process.wait()}")


def tick(process: Process) -> None:
    """Tell a waiting ``demo_cron`` that the minute of its job has come."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def progress_of(process: Process) -> Iterator[tuple[int, int]]:
    """Yield ``(done, total)`` whenever the process prints it, until it ends."""
    assert process.stdout
    for line in process.stdout:
        if match := PROGRESS.search(line.strip()):
            yield int(match[1]), int(match[2])
