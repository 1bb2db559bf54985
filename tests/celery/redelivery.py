"""How a broker comes to deliver a message again: what the tests do to it, and wait for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kombu import Connection

from tests.celery import repeated
from tests.celery.brokers import Broker
from tests.celery.journal import POLL, WITHIN
from tests.celery.workers import Worker
from tests.mailbox import Mailbox

VISIBILITY_TIMEOUT = 1  # seconds; the shortest of all who use the broker is the one that counts

RISKY = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "imports": ["tests.celery.repeated", "tests.celery.texting"],
}
"""What delivers again the most."""


def copies(worker: Worker, broker: Broker, task_id: str, count: int) -> None:
    """Wait until the worker was given so many copies of one message.

    Redis hands out again what is not acknowledged when some app, here the test's own, looks for
    it: each does so every 100 seconds, which is not waited for.
    """
    until = time.monotonic() + WITHIN
    options = {"visibility_timeout": VISIBILITY_TIMEOUT}
    with Connection(broker.url, transport_options=options) as connection:
        while len(worker.journal.lines("received", id=task_id)) < count:
            assert time.monotonic() < until, "it was not delivered again"
            if broker.name == "redis":
                connection.default_channel.qos.restore_visible(interval=1)
            time.sleep(POLL)


def eta_beyond_the_visibility_timeout(worker: Worker, broker: Broker, to: str) -> None:
    """Enqueue a mail for a moment by which Redis has handed it out three times."""
    result = repeated.one.apply_async((to,), countdown=3 * VISIBILITY_TIMEOUT)
    copies(worker, broker, result.id, 3)
    worker.wait_for("ended", 3, id=result.id)


def longer_than_the_visibility_timeout(
    worker: Worker, broker: Broker, to: str, until: Path
) -> None:
    """Have a task run for longer than Redis waits, so that it runs twice at once."""
    result = repeated.one_and_wait.delay(to, str(until))
    copies(worker, broker, result.id, 2)
    worker.wait_for("began", 2, id=result.id)
    until.touch()
    worker.wait_for("ended", 2, id=result.id)


def child_killed_after_its_mail(worker: Worker, mailbox: Mailbox, to: str, until: Path) -> Any:
    """Kill a process of the pool that has sent its mail and is not done."""
    result = repeated.one_and_wait.delay(to, str(until))
    mailbox.sink.wait_for(mailbox.before + 1)
    (began,) = worker.wait_for("began", id=result.id)
    worker.kill_child(began["pid"])
    until.touch()
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    return result


def published_twice(worker: Worker, to: str) -> None:
    """Publish the same message twice, as a publisher does whose connection was cut."""
    first = repeated.one.delay(to)
    repeated.one.apply_async((to,), task_id=first.id)
    worker.wait_for("ended", 2, id=first.id)
