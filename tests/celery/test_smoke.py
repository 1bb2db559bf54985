"""The little of Celery that is tested with every Django on every database."""

from __future__ import annotations

import pytest

import notifyguard
from tests.celery import tasks
from tests.celery.brokers import RABBITMQ, REDIS
from tests.mailbox import rows

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True),
]

ANN, BOB = "ann@example.com", "bob@example.com"


def test_what_is_enqueued_while_suppressed_stays_suppressed(worker, mailbox):
    with notifyguard.suppressed(reason="backfill"):
        silent = tasks.mail.delay(ANN)
    loud = tasks.mail.delay(BOB)
    for result in (silent, loud):
        worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert mailbox.recipients() == [BOB]
    ann, bob = rows(recipient=ANN), rows(recipient=BOB)
    assert [(row.state, row.rule) for row in ann] == [("discarded", "suppressed")]
    assert [(row.state, row.type, row.task_id) for row in bob] == [
        ("sent", "tests.celery.tasks.mail", loud.id)
    ]
