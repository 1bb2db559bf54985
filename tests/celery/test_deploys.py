"""In the middle of a deploy: workers and publishers with notifyguard and without."""

from __future__ import annotations

import pytest
from celery import chain, chord, group

import notifyguard
from tests.celery import travelling_tasks as tasks
from tests.celery.tasks import mail
from tests.mailbox import rows

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
]

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture(scope="module")
def new(app, run_worker):
    """A worker of the release that has notifyguard."""
    with run_worker(imports=["tests.celery.travelling_tasks"]) as worker:
        yield worker


@pytest.fixture(
    scope="module",
    params=["notifyguard.contrib.celery", "notifyguard notifyguard.contrib.celery"],
    ids=["without the integration", "without notifyguard"],
)
def old(request, app, broker, run_worker):
    """One of the release before, which takes its tasks from the queue "old"."""
    without, imports = request.param, ["tests.celery.travelling_tasks"]
    options = ("--queues", old_queue(broker))
    with run_worker(without_apps=without, imports=imports, options=options) as worker:
        yield worker


def old_queue(broker):
    return f"{broker.queue}-old"


@pytest.fixture
def both(old, new, broker, mailbox):
    """Enqueue work that begins on the old worker, suppressed for Ann and not so for Bob."""

    def enqueue(build):
        def first(signature):
            return signature.set(queue=old_queue(broker))

        with notifyguard.suppressed(reason="backfill"):
            build(first, mail.si(ANN)).delay()
        build(first, mail.si(BOB)).delay()
        for to in (ANN, BOB):
            new.wait_for("told", to=to)

    return enqueue


@pytest.fixture(autouse=True)
def fresh(old, new):
    for worker in (old, new):
        worker.journal.path.write_text("")


def linked(signature, callback):
    signature.link(callback)
    return signature


GOES_ON = {
    "link": lambda first, mail: linked(first(tasks.nothing.si()), mail),
    "chain": lambda first, mail: chain(first(tasks.nothing.si()), first(tasks.nothing.si()), mail),
    "group": lambda first, mail: linked(first(tasks.nothing.si()), group(mail, tasks.nothing.si())),
    "chain in a link": lambda first, mail: linked(
        first(tasks.nothing.si()), chain(first(tasks.nothing.si()), mail)
    ),
    "chord": lambda first, mail: chord([first(tasks.nothing.si())], mail),
    "chord in a chain": lambda first, mail: chain(
        first(tasks.nothing.si()), chord([first(tasks.nothing.si())], mail)
    ),
    "link_error": lambda first, mail: first(tasks.breaks.si()).on_error(mail),
    "retry": lambda first, mail: linked(first(tasks.retries_in_silence.si()), mail),
}


@pytest.mark.parametrize("name", GOES_ON)
def test_what_an_old_worker_goes_on_with_is_still_silent(name, both, mailbox):
    both(GOES_ON[name])
    assert mailbox.recipients() == [BOB]
    assert [(row.state, row.reason) for row in rows(recipient=ANN)] == [("discarded", "backfill")]


def test_a_message_of_an_old_worker_is_run(old, new, broker, mailbox):
    """It comes without a word, so nothing is known of it but what it is."""
    result = tasks.enqueues.apply_async((ANN,), queue=old_queue(broker))
    new.wait_for("told", to=ANN)
    assert mailbox.recipients() == [ANN]
    (row,) = rows()
    assert (row.type, row.origin) == ("tests.celery.tasks.mail", "task")
    assert row.task_id not in ("", result.id)


def test_an_old_worker_runs_what_comes_with_a_header(old, new, broker, mailbox):
    tasks.retries.apply_async((ANN,), queue=old_queue(broker))
    old.wait_for("told", to=ANN)
    assert mailbox.recipients() == [ANN]
