"""The proof itself, small: guarded it holds, naive it finds the harm that it is there to find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import chosen_database

PROJECT = Path(__file__).resolve().parents[2]
TIMEOUT = 900  # seconds; a run that hangs is a failure, too


def proof(run: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.proof", run, "--db", chosen_database(), "--seed", "7"]
    return subprocess.run(
        [*command, *options],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def test_no_promise_breaks_under_kills() -> None:
    run = proof("kills", "--count", os.environ.get("NOTIFYGUARD_KILLS", "30"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every promise held" in run.stdout


def test_a_release_whose_operators_are_killed_lets_each_message_go_once() -> None:
    run = proof("release", "--count", "80", "--kills", "6")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every promise held" in run.stdout
    assert "80 of 80 let go" in run.stdout


# The promise of the speed is these two's; SQLite's file lock has no queue.
@pytest.mark.needs("postgresql", "mariadb")
def test_stopped_means_stopped() -> None:
    run = proof("flips", "--flips", "6", "--processes", "4")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every promise held" in run.stdout


over_celery = [
    pytest.mark.needs("postgresql"),  # one database is enough: it is the brokers that differ
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
]
BROKERS = [
    pytest.param("redis", marks=over_celery),
    pytest.param("rabbitmq", marks=[*over_celery, pytest.mark.needs("rabbitmq")]),
]


@pytest.mark.parametrize("broker", BROKERS)
def test_no_promise_breaks_when_workers_and_their_children_are_killed(broker: str) -> None:
    kills = os.environ.get("NOTIFYGUARD_CELERY_KILLS", "20")
    run = proof("celery", "--broker", broker, "--count", kills)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every promise held" in run.stdout


@pytest.mark.parametrize("broker", BROKERS)
def test_tasks_without_notifyguard_double_mail_and_the_harness_sees_it(broker: str) -> None:
    run = proof("celery", "--broker", broker, "--count", "15", "--protocol", "naive")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN     accepted_at_most_once" in run.stdout


def test_send_then_mark_doubles_mail_and_the_harness_sees_it() -> None:
    run = proof("kills", "--count", "15", "--protocol", "naive")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN     accepted_at_most_once" in run.stdout
    assert "BROKEN     rolled_back_was_not_accepted" in run.stdout


@pytest.mark.needs("postgresql", "mariadb")
def test_a_switch_read_before_the_batch_lets_mail_slip_and_the_harness_sees_it() -> None:
    run = proof("flips", "--flips", "6", "--processes", "4", "--protocol", "naive")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN     stopped_means_stopped" in run.stdout
