"""What is enqueued while suppressed mails nobody, whatever comes of it; nothing else is silent."""

from __future__ import annotations

import uuid

import pytest

import notifyguard
from tests.celery.brokers import RABBITMQ, REDIS
from tests.celery.cases import CASES, run
from tests.mailbox import rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

# What goes over the wire in a way of its own, once more over the other broker.
OVER_RABBITMQ = (
    *("delay", "eta", "retry with countdown", "chain", "group", "chord", "link_error, old"),
    *("sub-task of a sub-task", "revoked", "lost worker, old"),
)


@pytest.fixture(scope="module")
def worker(app, run_worker):
    """Two processes that may be killed; the main process notices that at once."""
    imports = ["tests.celery.travelling_tasks"]
    with run_worker(concurrency=2, imports=imports, worker_lost_wait=0.01) as worker:
        yield worker


@pytest.mark.parametrize("broker", [REDIS], indirect=True)
@pytest.mark.parametrize("name", CASES)
def test_it_is_silent_if_enqueued_while_suppressed_and_only_then(name, worker, mailbox):
    both_ways(name, worker, mailbox)


@pytest.mark.parametrize("broker", [RABBITMQ], indirect=True)
@pytest.mark.parametrize("name", OVER_RABBITMQ)
def test_it_is_over_rabbitmq_too(name, worker, mailbox):
    both_ways(name, worker, mailbox)


@pytest.mark.parametrize("broker", [REDIS], indirect=True)
@pytest.mark.parametrize("name", ["delay", "eta", "retry", "link", "link_error, old", "chord"])
def test_in_the_older_form_of_celerys_messages_too(name, app, worker, mailbox, monkeypatch):
    monkeypatch.setitem(vars(app.amqp), "create_task_message", app.amqp.as_task_v1)
    both_ways(name, worker, mailbox)


def both_ways(name, worker, mailbox):
    told = CASES[name][1]
    silent, loud = (f"{which}-{uuid.uuid4().hex}@example.com" for which in ("silent", "loud"))
    with notifyguard.suppressed(reason="backfill"):
        run(name, silent)
    run(name, loud)
    for to in told:
        for address in (silent, loud):
            worker.wait_for("told", to=to.format(address))
    assert mailbox.recipients() == sorted(to.format(loud) for to in told)
    assert {(row.recipient, row.rule, row.reason) for row in rows(state="discarded")} == {
        (to.format(silent), "suppressed", "backfill") for to in told
    }
