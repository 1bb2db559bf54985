"""What a real worker makes of what came with a task: for how long, from where, of which type."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import BaseCommand, call_command
from django.db.models.signals import post_migrate
from django.http import HttpResponse
from django.urls import path

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.context import travelling
from notifyguard.contrib.celery import publishing
from notifyguard.contrib.celery.header import HEADER
from notifyguard.decision import Sending
from tests.celery import travelling_tasks
from tests.celery.tasks import mail
from tests.mailbox import rows
from tests.operators import operate, release
from tests.smtp import PROJECT

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
]

ANN, BOB = "ann@example.com", "bob@example.com"
MAIL = "tests.celery.tasks.mail"
HOURS, DAYS = timedelta(hours=1), timedelta(days=1)

urlpatterns = [path("", lambda request: HttpResponse(mail.delay(ANN).id))]


class Enqueue(BaseCommand):
    def handle(self, *args, **options):
        mail.delay(ANN)


@pytest.fixture(scope="module")
def worker(app, run_worker):
    with run_worker(imports=["tests.celery.travelling_tasks"]) as worker:
        yield worker


@pytest.fixture
def told(worker, mailbox):
    """Wait until somebody was told, or would have been; return the ledger's one row of it."""

    def row_of(to, count=1):
        worker.wait_for("told", count, to=to)
        return rows(recipient=to)[-1]

    worker.journal.path.write_text("")
    return row_of


def carrying(**parts):
    """The header of a message that was published under this."""
    return {HEADER: json.dumps(parts)}


def suppressed_for(age, **more):
    since = (datetime.now(UTC) - age).timestamp()
    return carrying(suppressed=[{"pattern": "*", "reason": "backfill", "since": since, **more}])


def test_for_a_week_it_is_discarded(told):
    mail.apply_async((ANN,), headers=suppressed_for(6.9 * DAYS))
    assert told(ANN).state == "discarded"


def test_after_a_week_it_is_held_for_a_person_to_see(told, mailbox):
    """A task that enqueues itself would else be silent for ever, without a word."""
    mail.apply_async((ANN,), headers=suppressed_for(7.1 * DAYS))
    row = told(ANN)
    assert (row.state, row.rule) == ("held", "suppressed")
    assert row.reason.startswith("Suppressed since 20")
    assert "(backfill)" in row.reason
    assert "more than 7 days" in row.reason
    release(row.id)
    operate("sweep")
    assert mailbox.recipients() == [ANN]


def test_a_task_that_enqueues_itself_cannot_make_itself_younger(told):
    travelling_tasks.goes_on.apply_async((ANN, 3), headers=suppressed_for(7.1 * DAYS))
    assert told(ANN).state == "held"


def test_what_the_worker_says_itself_is_not_old(told):
    with notifyguard.suppressed(reason="once more"):
        mail.apply_async((ANN,), headers=suppressed_for(8 * DAYS))
    row = told(ANN)
    assert (row.state, row.reason) == ("discarded", "once more")


@pytest.mark.parametrize("text", ["{", '{"version": 2, "silent": true}'])
def test_what_cannot_be_read_is_held_and_so_is_what_comes_of_it(told, text):
    travelling_tasks.enqueues.apply_async((ANN, 2), headers={HEADER: text})
    row = told(ANN)
    assert (row.state, row.rule, row.reason) == ("held", "suppressed", travelling.UNREADABLE)


def test_the_inform_step_travels(told, mailbox):
    with notifyguard.suppressed(reason="backfill"):
        mail.delay(ANN)
        with notifyguard.unsuppressed(MAIL, reason="tell owners"):
            travelling_tasks.enqueues.delay(BOB, 2)
    assert told(ANN).state == "discarded"
    assert told(BOB).state == "sent"
    assert mailbox.recipients() == [BOB]


def test_type_and_key_travel_to_the_last_task(told, mailbox):
    for _ in range(2):
        with notifyguard.notification("ticket.modified", key="4711:3"):
            travelling_tasks.enqueues.delay(ANN, 2)
    assert told(ANN, count=2).type == "ticket.modified"
    assert mailbox.recipients() == [ANN]


def test_when_it_is_to_leave_travels(told, mailbox):
    send_at = datetime.now(UTC) + HOURS
    with notifyguard.notification("ticket.modified", send_at=send_at, supersedes="4711"):
        mail.delay(ANN)
    row = told(ANN)
    assert (row.state, row.due_at) == ("queued", send_at)
    assert mailbox.recipients() == []


@pytest.fixture
def waiting_since(settings):
    """Publish a task as somebody did long ago: without another word of this process."""

    def publish(age, task, *args, **parts):
        settings.NOTIFYGUARD |= {"MODE": "bypass"}
        due = (datetime.now(UTC) - age).timestamp()
        task.apply_async(args, headers=carrying(due=due, **parts))
        settings.NOTIFYGUARD |= {"MODE": "enforce"}

    return publish


def test_what_has_waited_for_too_long_is_held(told, waiting_since):
    waiting_since(25 * HOURS, mail, ANN)
    waiting_since(23 * HOURS, mail, BOB)
    assert (told(ANN).state, told(ANN).rule) == ("held", "stale")
    assert told(BOB).state == "sent"


def test_its_block_says_what_is_too_long(told, waiting_since):
    waiting_since(3 * HOURS, mail, ANN, notification={"type": "ticket", "max_age": 7200})
    assert (told(ANN).type, told(ANN).state, told(ANN).rule) == ("ticket", "held", "stale")


def test_what_it_leads_to_is_as_late(told, waiting_since):
    waiting_since(25 * HOURS, travelling_tasks.enqueues, ANN)
    assert (told(ANN).state, told(ANN).rule) == ("held", "stale")


def test_a_retry_is_as_late(told, waiting_since):
    waiting_since(25 * HOURS, travelling_tasks.retries, ANN)
    assert (told(ANN).state, told(ANN).rule) == ("held", "stale")


def test_a_task_that_enqueues_itself_is_late_once(told, waiting_since):
    """After a night without workers it would else be late for ever, and all its mail held."""
    waiting_since(25 * HOURS, travelling_tasks.goes_on, ANN, 1)
    assert told(ANN).state == "sent"


def test_a_view_and_a_command_are_the_origin_of_what_their_tasks_send(told, client, settings):
    settings.ROOT_URLCONF = __name__
    task_id = client.get("/").content.decode()
    row = told(ANN)
    assert (row.origin, row.task_id, row.type) == ("web", task_id, MAIL)
    said = operate("why", ANN)
    assert "web" in said
    assert task_id in said
    call_command(Enqueue())
    assert told(ANN, count=2).origin == "command"


def test_where_nobody_began_it_the_origin_is_the_task(told, monkeypatch):
    monkeypatch.setattr(publishing, "_in_beat", True)
    travelling_tasks.enqueues.delay(ANN, 2)
    assert told(ANN).origin == "task"


def test_a_switch_is_asked_when_the_task_runs(told, settings, mailbox):
    settings.NOTIFYGUARD |= {"SENDING": "discard"}
    mail.delay(ANN)
    assert told(ANN).state == "sent"
    switchboard.set_switch(MAIL, Sending.HOLD, reason="test", actor=unrestricted("me"))
    mail.delay(BOB)
    assert told(BOB).state == "held"


def test_what_a_suppressed_process_enqueues_is_silent(told, app, worker_environment):
    publish = (
        "import json, os, sys, django; django.setup(); from tests.celery import brokers, tasks\n"
        "with brokers.publishing_app(json.loads(os.environ['TESTS_CELERY'])):\n"
        f"    tasks.mail.delay({ANN!r})"
    )
    configuration = {name: app.conf[name] for name in ("broker_url", "task_default_queue")}
    configuration["result_backend"] = app.conf.result_backend
    words = ("exec", "--suppress", "*", "--reason", "backfill", "--actor", "ann", "--")
    subprocess.run(
        [sys.executable, "-m", "django", "notifyguard", *words, sys.executable, "-c", publish],
        env=worker_environment | {"TESTS_CELERY": json.dumps(configuration)},
        cwd=PROJECT,
        check=True,
    )
    row = told(ANN)
    assert (row.state, row.reason) == ("discarded", "backfill")


def test_what_migrate_enqueues_is_silent(told):
    def enqueue(**_):
        mail.delay(ANN)

    post_migrate.connect(enqueue)
    try:
        call_command("migrate", "auth", verbosity=0)
    finally:
        post_migrate.disconnect(enqueue)
    row = told(ANN)
    assert (row.state, row.reason) == ("discarded", "manage.py migrate")
