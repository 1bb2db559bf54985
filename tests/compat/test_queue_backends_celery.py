"""django-celery-email, which publishes messages as JSON: eager, and with a worker of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager

import django
import pytest
from django.db import transaction

from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from tests import services
from tests.mailbox import batch, letter, rows, states
from tests.operators import release
from tests.smtp import PROJECT

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(django.VERSION >= (6, 0), reason="django-celery-email needs Django 5.2"),
    pytest.mark.needs("djcelery_email"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def project(mailbox, settings):
    """A project that sends through django-celery-email, in this process: the publisher."""
    settings.EMAIL_BACKEND = "djcelery_email.backends.CeleryEmailBackend"
    settings.CELERY_EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.CELERY_EMAIL_CHUNK_SIZE = 10
    settings.CELERY_EMAIL_TASK_CONFIG = {}
    settings.CELERY_EMAIL_MESSAGE_EXTRA_ATTRIBUTES = None
    import celery

    app = celery.Celery("tests", set_as_current=True)
    app.set_default()
    yield app
    app.close()


@pytest.fixture
def eager(project):
    project.conf.task_always_eager = True
    return project


@pytest.fixture
def broker(project, tmp_path):
    """Real Redis, in a process of its own."""
    program = shutil.which("redis-server")
    if program is None:
        (pytest.fail if services.in_ci() else pytest.skip)("needs redis-server: install it")
    path = tmp_path / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", ""]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as redis:
        try:
            # Its log says when it listens; read to the end, it could not fill the pipe.
            assert redis.stdout is not None
            assert any("ready to accept connections" in line.lower() for line in redis.stdout)
            project.conf.broker_url = f"redis+socket://{path}"
            yield project
        finally:
            redis.terminate()


@contextmanager
def worker(app, environment, port):
    """A worker process, for as long as the block runs; it ends when it is told to."""
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.compat.celery_settings",
        "TESTS_BROKER": app.conf.broker_url,
        "TESTS_SMTP_PORT": str(port),
    }
    celery = [sys.executable, "-m", "celery", "--app", "tests.compat.celery_project", "worker"]
    options = ["--pool", "solo", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    with subprocess.Popen([*celery, *options], env=environment | more, cwd=PROJECT) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def stop():
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("me"))


def test_an_eager_task_marks_and_confirms_while_it_is_queued(eager, mailbox):
    letter(ANN, cc=[BOB], key="1").send()
    assert mailbox.recipients() == [ANN, BOB]
    assert [(row.state, row.attempt) for row in rows()] == [("sent", 2)] * 2
    assert mailbox.accepted()[0]["x"] == {}


def test_a_batch_is_counted_once(eager, mailbox):
    assert len(batch(letter(ANN), letter(BOB))) == 2  # a result for each
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]


@pytest.mark.parametrize("key", ["1", None])
def test_an_eager_task_inside_a_transaction(eager, mailbox, key):
    with transaction.atomic():
        letter(ANN, key=key).send()
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_a_worker_sends_once_what_the_broker_delivers_twice(
    broker, mailbox, process_environment, monkeypatch
):
    from djcelery_email import tasks, utils

    published = []

    def watched(message):
        published.append(utils.email_to_dict(message))
        return published[-1]

    monkeypatch.setattr("djcelery_email.backends.email_to_dict", watched)
    letter(ANN, key="1").send()
    assert [(row.state, row.rule) for row in rows()] == [("queued", "handed on")]
    tasks.send_emails.delay(published, {})  # as after a visibility timeout
    letter(BOB).send()  # the queue keeps its order: behind the two
    with worker(broker, process_environment, mailbox.sink.port):
        mailbox.sink.wait_for(mailbox.before + 2, timeout=60)
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]
    assert {row.type for row in rows()} == {"ticket.modified"}
    assert [envelope["x"] for envelope in mailbox.accepted()] == [{}, {}]


def test_a_worker_holds_what_a_switch_has_stopped_meanwhile(broker, mailbox, process_environment):
    letter(ANN, key="1").send()
    stop()
    letter(BOB, type="invoice.sent").send()
    with worker(broker, process_environment, mailbox.sink.port):
        mailbox.sink.wait_for(mailbox.before + 1, timeout=60)
    assert mailbox.recipients() == [BOB]
    (row,) = rows(state="held")
    assert (row.recipient, row.rule) == (ANN, "switch")
    assert row.backend == "django.core.mail.backends.smtp.EmailBackend"
    switchboard.clear_switch("ticket.*", reason="test", actor=unrestricted("me"))
    release(row.id)
    sweeper.sweep()
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]


def test_a_worker_that_is_faster_than_the_commit_has_it_counted_once(
    broker, mailbox, process_environment
):
    if services.chosen_database() == "sqlite":
        pytest.skip("on SQLite the open transaction keeps the worker from writing")
    with worker(broker, process_environment, mailbox.sink.port), transaction.atomic():
        letter(ANN).send()
        mailbox.sink.wait_for(mailbox.before + 1, timeout=60)
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]
