"""What tests of the spool share: a project that spools, and processes of its own that publish."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from notifyguard.contrib.celery import due
from notifyguard.contrib.celery.models import SpooledTask
from tests.smtp import PROJECT

SPOOLING = {"IN_TESTS": "full", "CELERY": {"spool": True}}
FAR = {"countdown": 4 * 24 * 3600}

_PUBLISHER = """
import sys
from tests.celery.project import app
from notifyguard.contrib.celery import due, spool

def die(rows):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1:]:
    import os, signal
    allowed, published = int(sys.argv[1]), spool.published
    def published_or_dead(rows):
        global allowed
        if not allowed:
            die(rows)
        allowed -= 1
        published(rows)
    spool.published = published_or_dead
print("ready", flush=True)
sys.stdin.readline()
print(due.publish_due(), flush=True)
"""


def make_due() -> None:
    """Let the time of all that waits have come, and all leases be over."""
    SpooledTask.objects.update(publish_at=datetime.now(UTC) - timedelta(seconds=1))


def publish() -> int:
    """Publish all that waits."""
    make_due()
    return due.publish_due()


class Publisher:
    """A process that publishes what is due when it is told to.

    Args:
        environment: of a worker of the test.
        configuration: of Celery, as JSON.
        dies_after: it is killed by the kernel between publishing the next one and deleting it.
    """

    def __init__(
        self, environment: dict[str, str], configuration: str, dies_after: int | None = None
    ) -> None:
        more = {"DJANGO_SETTINGS_MODULE": "tests.celery.settings", "TESTS_CELERY": configuration}
        dies = [] if dies_after is None else [str(dies_after)]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _PUBLISHER, *dies],
            env=environment | more,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def go(self) -> None:
        """Have it begin."""
        self._stdin().write("go\n")
        self._stdin().flush()

    def count(self) -> int:
        """Wait for its end; return how many it published."""
        line = self._line()
        self.close()
        assert self.process.wait(30) == 0
        return int(line)

    def dies(self) -> None:
        """Wait for it to be killed."""
        assert self.process.wait(30) == -signal.SIGKILL
        self.close()

    def close(self) -> None:
        for pipe in (self._stdin(), self.process.stdout):
            pipe.close()  # type: ignore[union-attr]

    def _line(self) -> str:
        return self.process.stdout.readline().strip()  # type: ignore[union-attr]

    def _stdin(self) -> Any:
        return self.process.stdin
