"""Heartbeats: who was heard lately, who fell silent, and what is forgotten."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from notifyguard import clock, database, heartbeats
from notifyguard.heartbeats import Kind, Pulse
from tests.connections import wait_until
from tests.factories import HeartbeatFactory
from tests.operators import facts, operate
from tests.threads import threads

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "celery@web-3"


def ago(**parts):
    return timezone.now() - timedelta(**parts)


def states():
    return {each.name: each.state for each in heartbeats.heard()}


def test_who_was_just_heard_is_heard(full):
    heartbeats.record(Kind.WORKER, NAME, 15)
    (one,) = heartbeats.heard()
    assert (one.kind, one.name, one.state, one.every) == ("worker", NAME, "heard", 15)
    assert one.heard_at > ago(seconds=5)


def test_there_is_one_row_of_each_however_often_it_is_heard(full):
    heartbeats.record(Kind.WORKER, NAME, 15, at=ago(seconds=9))
    heartbeats.record(Kind.WORKER, NAME, 5)
    heartbeats.record(Kind.SWEEPER, NAME, 15)
    assert [each.every for each in heartbeats.heard()] == [15, 5]


@pytest.mark.parametrize(("seconds", "state"), [(44, "heard"), (46, "silent")])
def test_who_was_not_heard_three_times_in_a_row_is_silent(full, seconds, state):
    HeartbeatFactory(name=NAME, every=15, heard_at=ago(seconds=seconds))
    assert states() == {NAME: state}


def test_who_ends_because_it_was_told_to_is_not_silent(full):
    HeartbeatFactory(name=NAME, heard_at=ago(hours=1))
    heartbeats.end(Kind.WORKER, NAME)
    assert states() == {NAME: "ended"}
    heartbeats.record(Kind.WORKER, NAME, 15)
    assert states() == {NAME: "heard"}


def test_a_heartbeat_that_comes_late_takes_nothing_back(full):
    heartbeats.record(Kind.BEAT, NAME, 15)
    (before,) = heartbeats.heard()
    heartbeats.record(Kind.BEAT, NAME, 15, at=ago(hours=1))
    assert heartbeats.heard() == [before]
    heartbeats.end(Kind.BEAT, NAME)
    heartbeats.record(Kind.BEAT, NAME, 15, at=ago(hours=1))
    assert states() == {NAME: "ended"}


def test_the_first_heartbeat_written_by_several_at_once_is_one_row(full):
    with threads(4) as started:
        for _ in range(4):
            started.start(heartbeats.record, Kind.BEAT, NAME, 15)
    assert states() == {NAME: "heard"}


def test_the_clock_is_that_of_the_database(full, monkeypatch):
    ahead = clock._Comparison(ahead=7200.0, apart=clock._apart())
    monkeypatch.setitem(clock._compared, database.alias(), ahead)
    heartbeats.record(Kind.WORKER, NAME, 15)
    (one,) = heartbeats.heard()
    assert one.heard_at > timezone.now() + timedelta(hours=1)
    assert one.state == "heard"


def test_a_pulse_is_written_as_often_as_it_is_due_and_not_more(full, django_assert_num_queries):
    pulse = Pulse(Kind.SWEEPER, NAME, 15)
    pulse.beat()
    with django_assert_num_queries(0):
        pulse.beat()
    assert states() == {NAME: "heard"}


def test_a_pulse_that_cannot_be_written_is_said_once_and_breaks_nothing(full, caplog, monkeypatch):
    def refuse(*given):
        raise IntegrityError("what it says may quote a row")

    pulse = Pulse(Kind.SWEEPER, NAME, 15)
    monkeypatch.setattr(heartbeats, "record", refuse)
    with caplog.at_level(logging.WARNING, "notifyguard"):
        for _ in range(3):
            pulse._next = 0
            pulse.beat()
    (said,) = caplog.messages
    assert f"heartbeat of sweeper {NAME} cannot be written (IntegrityError)" in said


def test_a_pulse_for_a_ledger_that_there_is_not_breaks_nothing(full, caplog):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "DATABASE": "nowhere"}
    Pulse(Kind.SWEEPER, NAME, 15).beat()
    assert "(LedgerUnavailable); it will look silent" in caplog.text


def test_status_says_who_is_heard_silent_or_ended(full):
    HeartbeatFactory(name="celery@a", heard_at=ago(seconds=12))
    HeartbeatFactory(name="celery@b", heard_at=ago(minutes=3))
    HeartbeatFactory(name="celery@c", heard_at=ago(hours=9), ended_at=ago(hours=8))
    said = operate("status")
    assert "worker celery@a: last heard 12 s ago" in said
    assert "worker celery@b: SILENT, last heard 3 min 0 s ago; it should be heard every 15" in said
    assert "worker celery@c: ended 8 h 0 min ago, as it was told to" in said
    told = [(each["name"], each["state"]) for each in facts("status")["heartbeats"]]
    assert told == [("celery@a", "heard"), ("celery@b", "silent"), ("celery@c", "ended")]


def test_status_says_nothing_of_them_where_nobody_was_ever_heard(full):
    assert "Workers, beat and sweepers" not in operate("status")


def test_prune_forgets_who_is_gone_for_a_day_and_was_replaced(full):
    HeartbeatFactory(name="old", heard_at=ago(hours=25))
    HeartbeatFactory(name="ended", heard_at=ago(hours=25), ended_at=ago(hours=25))
    HeartbeatFactory(name="lately", heard_at=ago(hours=23))
    HeartbeatFactory(name="heard", heard_at=ago(seconds=1))
    HeartbeatFactory(kind="beat", name="last of its kind", heard_at=ago(days=99))
    assert "heartbeats: 2 deleted" in operate("prune")
    assert set(states()) == {"lately", "heard", "last of its kind"}


def test_prune_keeps_the_dead_when_all_of_them_are(full):
    for name in ("a", "b"):
        HeartbeatFactory(name=name, heard_at=ago(days=3))
    assert "Nothing is older" in operate("prune")
    assert set(states().values()) == {"silent"}


def test_a_worker_heard_again_while_it_is_forgotten_stays(full):
    row = HeartbeatFactory(name=NAME, heard_at=ago(hours=25))
    HeartbeatFactory(name="another")
    assert [each.pk for each in heartbeats.forgettable()] == [row.pk]
    heartbeats.record(Kind.WORKER, NAME, 15)
    heartbeats.forget([row.pk])
    assert NAME in states()


def test_a_loop_of_sweeps_is_heard_and_says_that_it_ends(full, process_environment):
    words = ["notifyguard", "sweep", "--loop", "--every", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "django", *words], env=process_environment
    ) as loop:
        try:
            wait_until(heartbeats.heard)
            (one,) = heartbeats.heard()
            assert one.name.endswith(f"/{loop.pid}")
            assert states() == {one.name: "heard"}
            loop.send_signal(signal.SIGTERM)
            assert loop.wait(20) == 0
        finally:
            loop.kill()
    assert states() == {one.name: "ended"}


def test_a_single_sweep_of_cron_promises_no_other(full):
    operate("sweep")
    assert states() == {}
