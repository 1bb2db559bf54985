"""Heartbeats of workers and of beat: real ones, hung and killed."""

from __future__ import annotations

import os
import signal
import socket
from datetime import timedelta

import pytest

from notifyguard import heartbeats, switchboard
from notifyguard.actor import unrestricted
from notifyguard.contrib.celery import beat_schedule
from notifyguard.contrib.celery import tasks as upkeep
from notifyguard.decision import Sending
from tests.celery import tasks
from tests.celery.beats import running_beat
from tests.connections import wait_until
from tests.mailbox import letter, states
from tests.operators import deed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
]

OFTEN = {"HEARTBEAT": 1}  # seconds, so that who falls silent is silent after three


def states_of(kind: str) -> list[str]:
    return [each.state for each in heartbeats.heard() if each.kind == kind]


def is_heard() -> bool:
    return states_of("worker") == ["heard"]


def is_silent() -> bool:
    return states_of("worker") == ["silent"]


@pytest.mark.parametrize(
    ("pool", "options"),
    [
        ("threads", ()),
        ("solo", ()),
        ("prefork", ("--autoscale", "2,0")),  # no process while there is nothing to do
        pytest.param("gevent", (), marks=pytest.mark.needs("gevent")),
    ],
)
def test_a_worker_is_heard_and_says_that_it_ends(full, app, run_worker, pool, options):
    with run_worker(pool=pool, options=options, notifyguard=OFTEN) as worker:
        wait_until(is_heard)
        (first,) = heartbeats.heard()
        wait_until(lambda: heartbeats.heard()[0].heard_at > first.heard_at)
        worker.stop()
    (last,) = heartbeats.heard()
    assert (last.name, last.state, last.every) == (first.name, "ended", 1)


def test_a_worker_whose_pool_hangs_is_silent_though_it_answers(full, app, run_worker, tmp_path):
    gate = tmp_path / "gate"
    with run_worker(concurrency=2, notifyguard=OFTEN) as worker:
        wait_until(is_heard)
        for _ in range(3):
            tasks.wait_for_file.delay(str(gate))  # it is busy for ever
        wait_until(is_silent)
        (hung,) = heartbeats.heard()
        assert app.control.inspect([hung.name]).ping() == {hung.name: {"ok": "pong"}}
        gate.touch()
        wait_until(is_heard)
        for child in worker.children():
            os.kill(child, signal.SIGSTOP)  # it has nothing to do, and could not do it
        wait_until(is_silent)
        assert app.control.inspect([hung.name]).ping() == {hung.name: {"ok": "pong"}}


def test_a_worker_that_lost_its_broker_is_heard_again_until_it_is_killed(
    full, app, run_worker, broker
):
    """Celery drops its timers with the connection."""
    with run_worker(notifyguard=OFTEN) as worker:
        wait_until(is_heard)
        for kind in ("pubsub", "normal"):
            broker.redis.client.client_kill_filter(_type=kind)
        wait_until(lambda: "Connection to broker lost" in worker.log.read_text())
        (before,) = heartbeats.heard()
        later = before.heard_at + timedelta(seconds=2)  # one may have been on its way
        wait_until(lambda: heartbeats.heard()[0].heard_at > later)
        worker.kill()
        wait_until(is_silent)


@pytest.fixture
def often():
    """What ``beat_schedule`` gives, every second, and as JSON can tell it."""
    entries = beat_schedule(sweep=1, publish=1, heartbeat=1)
    return {name: each for name, each in entries.items() if isinstance(each["schedule"], float)}


def test_beat_has_what_is_due_swept_and_is_heard_until_it_is_killed(
    mailbox, broker, worker, worker_environment, often, tmp_path
):
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("ann"))
    letter("ann@example.com").send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("ann"))
    deed("release", "--yes", "--later")
    with running_beat(broker, worker_environment, tmp_path, often) as beat:
        wait_until(lambda: states_of("beat") == states_of("sweeper") == ["heard"])
        wait_until(lambda: states() == ["sent"])
        names = {each.kind: each.name for each in heartbeats.heard()}
        assert names["beat"] == f"beat@{socket.gethostname()}"
        assert names["sweeper"] == "notifyguard.sweep"
        beat.kill()
        wait_until(lambda: states_of("beat") == states_of("sweeper") == ["silent"])
    assert mailbox.recipients() == ["ann@example.com"]


def test_what_piled_up_while_workers_were_dead_is_not_worked_off(full, app, worker):
    """Beat went on for hours; one sweep is as good as all of them."""
    waiting = [upkeep.sweep.apply_async(kwargs={"every": 10}, expires=-1) for _ in range(20)]
    last = tasks.nothing.delay()
    worker.wait_for("ended", id=last.id)
    began = {line["id"] for line in worker.journal.lines("began")}
    assert began.isdisjoint(result.id for result in waiting)
