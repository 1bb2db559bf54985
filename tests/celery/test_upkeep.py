"""The tasks that beat asks for, and the schedule that it is given, without a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from celery import signals
from celery.beat import Scheduler
from django.utils import timezone

from notifyguard import context, heartbeats
from notifyguard.contrib.celery import beat_schedule, pulses
from notifyguard.contrib.celery import tasks as upkeep
from tests.celery import tasks
from tests.factories import DeliveryFactory
from tests.mailbox import states
from tests.smtp import PROJECT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

WORKER = "celery@web-3"


@dataclass(eq=False)
class Ended:
    """What Celery sends with the end of a worker."""

    hostname: str
    exitcode: int


def names() -> dict[str, str]:
    return {each.name: each.state for each in heartbeats.heard()}


def test_a_sweep_delivers_what_is_due_and_is_heard(three_due):
    upkeep.sweep(every=10)
    assert states() == ["sent"] * 3
    assert names() == {"notifyguard.sweep": "heard"}


def test_a_sweep_leaves_the_rest_to_the_next_when_its_time_is_over(three_due, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "SWEEPS_FOR", 0)
        upkeep.sweep(every=10)
    assert three_due.accepted() == []
    upkeep.sweep(every=10)
    assert states() == ["sent"] * 3


def test_prune_deletes_what_is_old_as_long_as_it_may(full, monkeypatch):
    monkeypatch.setattr("notifyguard.ledger.retention.BATCH", 1)
    for _ in range(3):
        DeliveryFactory(created_at=timezone.now() - timedelta(days=91))
    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "PRUNES_FOR", -1)
        upkeep.prune()
    assert states() == ["sent"] * 2
    upkeep.prune()
    assert states() == []


def test_beat_was_heard_when_it_published_however_late_that_is_read(full):
    due = datetime.now(UTC) - timedelta(hours=2)
    with context.running_task(context.Task("notifyguard.heartbeat", "1", due_at=due)):
        upkeep.heartbeat.apply(kwargs={"every": 15})
    (one,) = heartbeats.heard()
    assert (one.kind, one.state) == ("beat", "silent")
    assert abs(one.heard_at - due) < timedelta(seconds=5)


def test_a_clock_of_beat_that_is_ahead_makes_nobody_heard_in_the_future(full):
    due = datetime.now(UTC) + timedelta(hours=2)
    with context.running_task(context.Task("notifyguard.heartbeat", "1", due_at=due)):
        upkeep.heartbeat.apply(kwargs={"every": 15})
    (one,) = heartbeats.heard()
    assert one.heard_at <= timezone.now() + timedelta(seconds=1)


def test_every_start_of_beat_on_a_host_is_the_same_beat(full):
    for number in (1, 2):
        upkeep.heartbeat.push_request(origin=f"gen{number}@web-1")
        try:
            upkeep.heartbeat.run(every=15)
        finally:
            upkeep.heartbeat.pop_request()
    assert names() == {"beat@web-1": "heard"}


def test_the_end_of_a_task_says_that_its_worker_works(full):
    pulses._pulse.cache_clear()
    tasks.nothing.push_request(hostname=WORKER, is_eager=False)
    try:
        signals.task_postrun.send(sender=tasks.nothing, task=tasks.nothing)
    finally:
        tasks.nothing.pop_request()
    assert names() == {WORKER: "heard"}


def test_an_eager_task_is_no_worker(full):
    tasks.nothing.apply()
    assert names() == {}


def test_a_worker_that_gives_up_has_not_ended_as_it_was_told_to(full):
    heartbeats.record(heartbeats.Kind.WORKER, WORKER, 15)
    for exitcode, state in ((1, "heard"), (0, "ended")):
        signals.worker_shutdown.send(sender=Ended(WORKER, exitcode))
        assert names() == {WORKER: state}


@pytest.mark.parametrize(
    "settings_", [{"IN_TESTS": "light"}, {"MODE": "bypass", "IN_TESTS": "full"}]
)
def test_no_query_is_made_in_tests_of_a_project_nor_in_bypass(
    settings, settings_, django_assert_num_queries
):
    settings.NOTIFYGUARD = settings_
    with django_assert_num_queries(0):
        pulses.beat(WORKER)


def test_the_schedule_names_tasks_that_there_are_and_can_be_used_by_a_scheduler(app):
    app.conf.beat_schedule = beat_schedule(sweep=20) | {"ours": {"task": "x", "schedule": 3}}
    entries = Scheduler(app).schedule
    assert entries["ours"].task == "x"
    assert entries["notifyguard.sweep"].kwargs == {"every": 20}
    for name in beat_schedule():
        assert entries[name].task in app.tasks
        entries[name].is_due()


def test_what_it_says_of_a_task_every_scheduler_obeys():
    """The one that keeps its schedule in the database drops options that it does not know."""
    assert all("options" not in entry for entry in beat_schedule().values())
    for task in (upkeep.sweep, upkeep.prune, upkeep.publish_spooled, upkeep.heartbeat):
        assert task.expires == upkeep.EXPIRES
        assert task.acks_late is False


def test_the_schedule_can_be_made_in_the_settings():
    """Before any app is ready; Django itself is not set up either."""
    code = "from notifyguard.contrib.celery import beat_schedule; print(len(beat_schedule()))"
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == str(len(beat_schedule()))
