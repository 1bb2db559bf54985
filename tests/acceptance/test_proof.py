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


def holds(run: str, *options: str) -> str:
    """Run it; return what it printed when every promise held."""
    ended = proof(run, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "every promise held" in ended.stdout
    return ended.stdout


def breaks(run: str, *options: str) -> str:
    """Run it by the naive protocol; return what it printed of the promises that broke."""
    ended = proof(run, *options, "--protocol", "naive")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


def test_no_promise_breaks_under_kills() -> None:
    holds("kills", "--count", os.environ.get("NOTIFYGUARD_KILLS", "30"))


def test_a_release_whose_operators_are_killed_lets_each_message_go_once() -> None:
    assert "80 of 80 let go" in holds("release", "--count", "80", "--kills", "6")


# The promise of the speed is these two's; SQLite's file lock has no queue.
@pytest.mark.needs("postgresql", "mariadb")
def test_stopped_means_stopped() -> None:
    holds("flips", "--flips", "6", "--processes", "4")


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
    holds("celery", "--broker", broker, "--count", kills)


@pytest.mark.parametrize("broker", BROKERS)
def test_tasks_without_notifyguard_double_mail_and_the_harness_sees_it(broker: str) -> None:
    said = breaks("celery", "--broker", broker, "--count", "15")
    assert "BROKEN     accepted_at_most_once" in said


def test_send_then_mark_doubles_mail_and_the_harness_sees_it() -> None:
    said = breaks("kills", "--count", "15")
    assert "BROKEN     accepted_at_most_once" in said
    assert "BROKEN     rolled_back_was_not_accepted" in said


@pytest.mark.needs("postgresql", "mariadb")
def test_a_switch_read_before_the_batch_lets_mail_slip_and_the_harness_sees_it() -> None:
    said = breaks("flips", "--flips", "6", "--processes", "4")
    assert "BROKEN     stopped_means_stopped" in said
