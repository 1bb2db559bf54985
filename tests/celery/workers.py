"""A real worker process, which a test may stop, kill, and rob of its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.celery.brokers import Broker
from tests.celery.journal import VARIABLE, WITHIN, Journal
from tests.smtp import PROJECT

ENDS_WITHIN = 30.0  # seconds
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
SHOWN_LINES = 100

running: list[Worker] = []
"""Those that run now: what they said is shown with a test that failed."""


@dataclass
class Worker:
    """A running worker.

    Attributes:
        journal: what it and its tasks write; see ``tests.celery.journal``.
        log: what it prints.
    """

    process: subprocess.Popen[bytes]
    journal: Journal
    log: Path

    def wait_for(self, event: str, count: int = 1, **more: Any) -> list[dict[str, Any]]:
        """Return the lines of the journal that are meant, once there are ``count``."""
        return self.journal.wait_for(event, count, **more)

    def children(self) -> list[int]:
        """Return the process ids of its pool, those that live."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill_child(self, pid: int) -> None:
        """Have the kernel end one process of the pool, as it does when memory is short."""
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it and its whole pool at once, as a power cut does."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end: SIGTERM finishes its tasks first (warm), SIGQUIT leaves them (cold)."""
        self.process.send_signal(how)
        self.process.wait(ENDS_WITHIN)

    def said(self) -> str:
        """Return the last lines that it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])


@contextmanager
def running_worker(
    broker: Broker,
    environment: dict[str, str],
    folder: Path,
    *,
    smtp_port: int,
    concurrency: int = 1,
    pool: str = "prefork",
    notifyguard: Mapping[str, Any] | None = None,
    without_apps: str = "",
    variables: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    **configuration: Any,
) -> Iterator[Worker]:
    """Start a worker process, wait until it takes tasks, and end it.

    Args:
        broker: where it takes tasks from.
        environment: of a process that joins the test's database.
        folder: where its journal and log go.
        smtp_port: of the mail server.
        concurrency: how many processes its pool has.
        pool: ``prefork``, ``solo`` or ``threads``.
        notifyguard: its ``NOTIFYGUARD``; full, since it runs in no test environment.
        without_apps: which of ``INSTALLED_APPS`` it lacks, with spaces between them.
        variables: of its environment, beside all that.
        options: more of Celery's command line.
        configuration: more settings of Celery, such as ``task_acks_late=True``.
    """
    name = uuid.uuid4().hex
    journal, log = Journal(folder / f"{name}.jsonl"), folder / f"{name}.log"
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.celery.settings",
        "TESTS_CELERY": json.dumps(broker.configuration(**configuration)),
        "TESTS_NOTIFYGUARD": json.dumps(notifyguard or {}, default=_length),
        "TESTS_SMTP_PORT": str(smtp_port),
        "TESTS_WITHOUT_APPS": without_apps,
        VARIABLE: str(journal.path),
    }
    command = [sys.executable, "-m", "celery", "--app", "tests.celery.project", "worker"]
    command += ["--hostname", f"{name}@%h", "--loglevel", "INFO", *QUIET]
    command += ["--pool", pool, "--concurrency", str(concurrency), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment | more | dict(variables or {}),
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its pool can be killed with it
        )
    worker = Worker(process, journal, log)
    running.append(worker)
    try:
        _wait_until_ready(worker)
        yield worker
    finally:
        worker.kill()  # a warm shutdown takes two seconds, and nothing waits for it here
        running.remove(worker)


def _length(of: timedelta) -> dict[str, float]:
    return {"seconds": of.total_seconds()}


def _wait_until_ready(worker: Worker) -> None:
    try:
        worker.wait_for("ready")
    except TimeoutError as error:
        raise TimeoutError(f"no worker within {WITHIN} s:\n{worker.said()}") from error
