"""Workers that die with a mail on its way: who comes after them sends nothing again."""

from __future__ import annotations

import signal

import pytest

from tests.celery import redelivery, repeated
from tests.celery.brokers import RABBITMQ, REDIS
from tests.mailbox import states

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True),
]

KILLED, COLD, OTHER = "hang-after@example.com", "ann@example.com", "bob@example.com"


def test_a_worker_that_is_killed_and_one_that_is_shut_down_cold(
    app, run_worker, broker, mailbox, tmp_path
):
    go_on = tmp_path / "go on"

    def start():
        return run_worker(**redelivery.RISKY)

    with start() as worker:
        killed = repeated.one.delay(KILLED)
        mailbox.sink.wait_for(mailbox.before + 1)
        worker.kill()
    with start() as worker:
        redelivery.copies(worker, broker, killed.id, 1)
        worker.wait_for("ended", id=killed.id, state="SUCCESS")
        cold = repeated.one_and_wait.delay(COLD, str(go_on))
        mailbox.sink.wait_for(mailbox.before + 2)
        worker.stop(signal.SIGQUIT)
        go_on.touch()
    with start() as worker:
        other = repeated.one.delay(OTHER)
        redelivery.copies(worker, broker, cold.id, 1)
        for result in (cold, other):
            worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert mailbox.recipients() == sorted([KILLED, COLD, OTHER])
    assert states() == ["in_flight", "sent", "sent"]
