"""Far ETAs in real workers: what was spooled runs once, when it is due, under its own id."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from celery import chain, chord

from notifyguard.contrib.celery import due
from notifyguard.contrib.celery.models import SpooledTask
from tests.celery import brokers
from tests.celery.brokers import RABBITMQ, REDIS
from tests.celery.journal import WITHIN
from tests.celery.spooled_tasks import failing, joined, linked, retried, told
from tests.celery.spooling import Publisher, make_due
from tests.celery.tasks import mail
from tests.refusals import refusing

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True),
]

SOON = 2  # seconds: far for a broker that can hold a task for one
WITHIN_REACH = timedelta(seconds=1)
CELERY = {
    "imports": ["tests.celery.tasks", "tests.celery.spooled_tasks"],
    "broker_transport_options": {"visibility_timeout": 1},
    "task_queue_max_priority": 9,
}


@pytest.fixture(scope="module")
def app(broker):
    with brokers.publishing_app(broker.configuration(**CELERY)) as app:
        yield app


@pytest.fixture(scope="module")
def worker(app, broker, run_worker):
    queues = ("--queues", f"{broker.queue},{other(broker)}")
    notifyguard = {"CELERY": {"consumer_timeout": WITHIN_REACH}}
    with run_worker(concurrency=2, options=queues, notifyguard=notifyguard, **CELERY) as worker:
        yield worker
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(other(broker))


@pytest.fixture
def spooling(full, app):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"consumer_timeout": WITHIN_REACH}}
    return app


@pytest.fixture
def to_be_killed(worker_environment, broker):
    """A publisher that is killed when the broker has its first task."""
    configuration = json.dumps(broker.configuration(**CELERY))
    started = Publisher(worker_environment, configuration, dies_after=0)
    yield started
    started.process.kill()
    started.process.wait()
    started.close()


def other(broker):
    return f"{broker.queue}-other"


def publish(count):
    """Publish what becomes due until it was so many; what a task spools meanwhile too."""
    until = time.monotonic() + WITHIN
    while count > 0:
        assert time.monotonic() < until, list(SpooledTask.objects.values("name", "note"))
        count -= due.publish_due()
    assert count == 0


def test_each_kind_runs_once_under_the_id_it_was_given(spooling, worker, broker):
    soon, before = {"countdown": SOON}, len(worker.journal.lines("ran"))
    in_chain = chain(told.si("first").set(**soon), told.si("second"))
    in_chord = chord([told.si("left").set(**soon), told.si("right").set(**soon)], joined.s())
    ids = {
        "priority": told.apply_async(["priority"], priority=7, **soon).id,
        "queue": told.apply_async(["queue"], queue=other(broker), **soon).id,
        "link": told.apply_async(["link"], link=linked.si("after link"), **soon).id,
        "errback": failing.apply_async(link_error=linked.si("after failure"), **soon).id,
        "expires": spooling.send_task(told.name, ["expires"], expires=SOON + 60, **soon).id,
        "second": in_chain.apply_async().id,
        "left+right": in_chord.apply_async().id,
        "retry 1": retried.delay(SOON).id,
    }
    worker.wait_for("ended", id=ids["retry 1"], state="RETRY")
    assert SpooledTask.objects.count() == 9  # all but the first run of the retry
    publish(9)
    found = {text: worker.wait_for("ran", text=text) for text in ids if text != "errback"}
    worker.wait_for("ran", text="after link")
    worker.wait_for("ran", text="after failure")
    worker.wait_for("ended", id=ids["errback"], state="FAILURE")
    assert {text: each["id"] for text, (each,) in found.items()} == {
        text: given for text, given in ids.items() if text != "errback"
    }
    assert found["priority"][0]["priority"] == 7
    assert found["queue"][0]["queue"] == other(broker)
    assert found["retry 1"][0]["retries"] == 1
    assert len(worker.journal.lines("ran")) - before == 13


def test_a_mail_whose_task_is_published_twice_leaves_once(
    spooling, worker, mailbox, to_be_killed, full
):
    full.NOTIFYGUARD |= {"CELERY": {"consumer_timeout": WITHIN_REACH, "spool": True}}
    given = mail.apply_async(["ann@example.com"], countdown=SOON).id
    make_due()  # for the publisher; the worker waits for the ETA
    to_be_killed.go()
    to_be_killed.dies()
    make_due()  # its lease is over
    publish(1)
    assert {each["state"] for each in worker.wait_for("ended", 2, id=given)} == {"SUCCESS"}
    assert mailbox.recipients() == ["ann@example.com"]


def test_a_retry_finds_the_broker_when_the_database_refuses_it(spooling, worker):
    with refusing("insert", "NEW.app = 'tests'", table="notifyguard_celery_spooledtask"):
        given = retried.delay(SOON).id
        worker.wait_for("ran", text="retry 1", id=given)
    assert not SpooledTask.objects.exists()
    assert "It goes to the broker" in worker.said()
