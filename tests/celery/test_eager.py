"""``task_always_eager`` and ``apply()``: tasks that run where they are enqueued."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

import notifyguard
from notifyguard import context
from notifyguard.contrib.celery.header import HEADER
from tests.celery import brokers, travelling_tasks
from tests.celery.cases import CASES, run
from tests.celery.tasks import mail
from tests.mailbox import rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

ANN, BOB = "ann@example.com", "bob@example.com"
# They need a worker that is killed, stopped or told to revoke, or are not done eagerly by Celery.
NEVER_EAGER = (
    "lost",
    "time limit",
    "revoked",
    "send_task",
    "add_to_chord",
    "of a chord",
    "signals",
)
EAGER = [
    name
    for name in CASES
    if name != "replace by a chain" and not any(word in name for word in NEVER_EAGER)
]


@pytest.fixture
def eager():
    with brokers.eager_app() as app:
        yield app


@pytest.mark.parametrize("name", EAGER)
def test_what_is_suppressed_where_it_runs_is_silent(name, eager, mailbox):
    told = CASES[name][1]
    with notifyguard.suppressed(reason="backfill"):
        run(name, ANN)
    run(name, BOB)
    assert mailbox.recipients() == sorted(to.format(BOB) for to in told)
    silent = {(row.recipient, row.reason) for row in rows(state="discarded")}
    assert silent == {(to.format(ANN), "backfill") for to in told}


def test_it_is_named_by_its_task_and_began_where_it_was_enqueued(eager, mailbox):
    result = mail.delay(ANN)
    (row,) = rows()
    assert (row.type, row.task_id) == ("tests.celery.tasks.mail", result.id)
    assert row.origin == "script"


def test_one_that_is_only_called_is_the_callers(eager, mailbox):
    for _ in range(2):
        mail(ANN)
    assert mailbox.recipients() == [ANN, ANN]
    assert {(row.type, row.task_id, row.origin) for row in rows()} == {
        ("tests.celery.tasks.mail", "", "script")
    }


def test_one_that_another_applies_is_a_part_of_it(eager, mailbox):
    result = travelling_tasks.applies.delay(ANN)
    (row,) = rows()
    assert (row.type, row.task_id) == ("tests.celery.tasks.mail", result.id)


def test_it_began_when_it_was_run_and_not_when_that_was_asked_for(eager):
    """A task that runs for hours before its first mail is not late for that."""

    @eager.task
    def works():
        entered = datetime.now(UTC)
        time.sleep(0.01)  # the clock must have gone on
        task = context.current().task
        return entered, task and task.started_at

    entered, started_at = works.apply().get()
    assert started_at <= entered


def carried(**more):
    """The headers of a task that was enqueued under this eight days ago."""
    since = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    said = {"pattern": "*", "reason": "backfill", "since": since} | more
    return {HEADER: json.dumps({"suppressed": [said]})}


@pytest.mark.parametrize(
    ("carried_suppression", "state"),
    [(timedelta(days=7), "held"), (timedelta(days=9), "discarded"), (None, "discarded")],
)
def test_how_long_it_is_carried_is_a_setting(carried_suppression, state, eager, mailbox, settings):
    settings.NOTIFYGUARD |= {"CELERY": {"carried_suppression": carried_suppression}}
    mail.apply((ANN,), headers=carried())
    assert [row.state for row in rows()] == [state]


def test_observing_obeys_what_a_person_said_for_as_long(eager, mailbox, settings):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    mail.apply((ANN,), headers=carried())
    mail.apply((BOB,), headers=carried(automatic=True))
    assert mailbox.recipients() == [BOB]
    assert [row.state for row in rows(recipient=ANN)] == ["held"]


def test_in_a_projects_own_tests_nothing_can_be_held_and_nothing_leaves(eager, mailbox, settings):
    settings.NOTIFYGUARD = {}
    mail.apply((ANN,), headers=carried())
    mail.apply((BOB,), headers={HEADER: "{"})
    assert mailbox.recipients() == []
    assert rows() == []


def test_what_is_said_where_it_runs_is_nearer_than_what_came_with_it(eager, mailbox):
    """A worker that was started to notify nobody notifies nobody, whoever enqueued."""
    lifted = carried(lifted=True)
    with notifyguard.suppressed(reason="this worker is silent"):
        mail.apply((ANN,), headers=lifted)
    mail.apply((BOB,), headers=lifted)
    assert mailbox.recipients() == [BOB]
