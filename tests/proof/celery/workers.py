"""A worker of a run: a real one, in a process that has Celery and Django loaded already."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from celery import signals
from celery.concurrency.asynpool import AsynPool

from tests.proof import crash
from tests.proof.celery import tasks
from tests.proof.celery.app import app
from tests.proof.celery.plans import Orders

CHILDREN = 2
LOOKS_AFTER_ITS_CHILDREN = 0.1  # seconds, in place of 5: a death is noticed while it matters


def work(number: int, folder: Path) -> None:
    """Be the main process of a worker until killed, or asked to end."""
    os.setsid()  # so that it can be killed with its children
    _log_to(folder / f"worker-{number}.log")
    AsynPool.timers = property(lambda pool: {pool.maintain_pool: LOOKS_AFTER_ITS_CHILDREN})
    orders = Orders(folder)

    def arm(**_: Any) -> None:
        if kill := orders.take():
            crash.die = orders.die
            crash.arm(kill)

    signals.worker_process_init.connect(arm, weak=False)
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    pool = ("--pool", "prefork", "--concurrency", str(CHILDREN))
    app.worker_main(["worker", "-n", f"{number}@%h", "--loglevel", "WARNING", *pool, *quiet])


def rehearse(slots: list[str], steps: list[str], answers: Any) -> None:
    """Run the tasks of slots once, undisturbed; answer which steps they take, and how often."""
    calls = crash.tally(steps)
    for slot in slots:
        tasks.mail.apply((slot,), task_id=slot)
    answers.put(dict(calls))


def _log_to(path: Path) -> None:
    sys.stdout.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
