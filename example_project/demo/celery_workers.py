"""Celery's workers in a replay: started, stopped, and waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from example_project.demo.broker import Broker
from example_project.demo.deployment import DemoError, Deployment, Process, ready
from example_project.demo.screen import Report

PATIENCE = 1800  # seconds for all tasks of a replay
POLL = 0.1  # seconds; Redis calls nobody back when a queue is empty


@contextmanager
def celery_worker(deployment: Deployment, name: str, concurrency: int = 2) -> Iterator[Process]:
    """Yield a worker that takes tasks; it ends with the block if ``finish`` did not end it."""
    how = ("--concurrency", str(concurrency))
    with deployment.started("demo_worker", name, *how) as worker:
        ready(worker)
        yield worker


def finish(deployment: Deployment, *workers: Process) -> None:
    """Stop workers in an orderly way: what they have begun is done."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        deployment.finish(worker)


def wait_until_worked_off(broker: Broker, report: Report, before: int, total: int) -> None:
    """Wait until no task waits; tell ``report`` how many of ``total`` are done.

    Args:
        broker: where they wait.
        report: is told.
        before: what was done before them.
        total: what there is to do, with them.

    Raises:
        DemoError: the workers are too slow, or have died.
    """
    until = time.monotonic() + PATIENCE
    while left := broker.waiting():
        report(min(max(before, total - left), total - 1), total)
        if time.monotonic() > until:
            raise DemoError(f"{left} tasks still wait after {PATIENCE} seconds")
        time.sleep(POLL)
    report(total, total)
