"""The demo as a person starts it, small; its report is read as a program reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from example_project.demo.deployment import ROOT
from tests.acceptance.conftest import WARNINGS

DEMO = ("demo", "--tickets", "60", "--newsletters", "40", "--slips", "40")


def command(*arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The example project's command line, in an environment where nothing points at the tests."""
    environment = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    environment["PYTHONWARNINGS"] = WARNINGS
    environment.pop("PYTHONUNBUFFERED", None)  # would hide that a line is not flushed
    return [sys.executable, "-m", "example_project", *arguments], {"cwd": ROOT, "env": environment}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the example project to its end."""
    line, where = command(*arguments)
    return subprocess.run(line, **where, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    scratch = tmp_path_factory.mktemp("demo")
    finished = run(*DEMO, "--json", "--scratch", str(scratch))
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_migration_mails_everyone_only_without_the_guard(report: Any) -> None:
    without, guarded = report["incident_a"]["without"], report["incident_a"]["with"]
    assert without["changed_mails"] == without["tickets"] == 60
    assert guarded["changed_mails"] == 0


def test_the_password_reset_arrives_in_both_runs(report: Any) -> None:
    assert [run["resets"] for run in report["incident_a"].values()] == [1, 1]


def test_the_inform_step_run_twice_tells_twice_only_without_the_guard(report: Any) -> None:
    without, guarded = report["incident_a"]["without"], report["incident_a"]["with"]
    assert without["told_by_upgrade"] == without["told_again"] == without["owners"]
    assert (guarded["told_by_upgrade"], guarded["told_again"]) == (guarded["owners"], 0)


def test_two_servers_double_newsletters_only_without_the_guard(report: Any) -> None:
    without, guarded = report["incident_c"]["without"], report["incident_c"]["with"]
    assert without["mailed_again"] > 0
    assert guarded["mails"] == guarded["reached"] == 40


def test_blank_newsletters_leave_only_without_the_guard(report: Any) -> None:
    assert [run["blank_mails"] for run in report["incident_c"].values()] == [40, 0]


def test_the_loop_mails_everybody_again_and_again_only_without_the_guard(report: Any) -> None:
    without, guarded = report["runaway_loop"]["without"], report["runaway_loop"]["with"]
    assert (without["most_to_one"], without["alerts"]) == (without["people"], 0)
    assert (guarded["most_to_one"], guarded["alerts"]) == (2, 1)


def test_slips_arrive_twice_only_without_the_guard(report: Any) -> None:
    without, guarded = report["incident_d"]["without"], report["incident_d"]["with"]
    assert without["repeated"] > 0
    assert (guarded["repeated"], guarded["while_held"], guarded["canary"]) == (0, 0, 10)
    assert 40 - guarded["reached"] <= guarded["uncertain"]


def test_the_admin_of_the_guarded_project_can_be_served_afterwards(report: Any) -> None:
    line, where = command("demo_admin", report["scratch"], "--port", "0")
    with subprocess.Popen(line, **where, stdout=subprocess.PIPE, text=True) as admin:
        assert admin.stdout
        try:
            url = admin.stdout.readline().split()[0]
            assert "Log in" in page(url)
        finally:
            admin.terminate()  # not Ctrl-C: a background job of a shell ignores that


def page(url: str) -> str:
    with urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_folder_without_a_demo_is_refused_with_the_way_out(tmp_path: Path) -> None:
    refused = run("demo_admin", str(tmp_path))
    assert refused.returncode == 1
    assert "`demo --scratch FOLDER` makes one" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scratch", str(ROOT)], "is not empty; name a new folder with --scratch"),
        (["--tickets", "0"], "0 is too few to replay an incident"),
        (["--newsletters", "-1"], "-1 is too few to replay an incident"),
        (["--jobs", "9"], "--jobs means nothing here; add --with-celery"),
        (["--with-celery", "--slips", "9"], "--slips means nothing here; leave --with-celery out"),
        (["--broker", "redis://127.0.0.1/0"], "is where --with-celery finds its Redis"),
        (["--only", "incident_b"], "no 'incident_b' here; there are incident_a, incident_c"),
    ],
)
def test_what_cannot_be_replayed_is_refused_at_once(arguments: list[str], complaint: str) -> None:
    refused = run("demo", *arguments)
    assert refused.returncode != 0
    assert complaint in refused.stderr


@pytest.mark.needs("sqlite")  # which is the demo's, whatever the tests' is
@pytest.mark.needs("celery")
@pytest.mark.needs("redis-server")
def test_the_replays_with_celery_start_their_own_redis_and_workers() -> None:
    small = ("--with-celery", "--only", "incident_e", "--jobs", "60", "--tickets", "1")
    finished = run("demo", *small, "--json")
    assert finished.returncode == 0, finished.stderr
    without, guarded = json.loads(finished.stdout)["incident_e"].values()
    assert (without["mails"], without["stale_mails"]) == (60, 50)
    assert (guarded["mails"], guarded["held"], guarded["expired"]) == (10, 25, 25)


@pytest.mark.needs("celery")
def test_a_broker_that_is_no_redis_is_refused_with_the_way_out() -> None:
    refused = run("demo", "--with-celery", "--broker", "amqp://127.0.0.1//")
    assert refused.returncode == 1
    assert "'amqp://127.0.0.1//' is no redis://HOST:PORT/NUMBER" in refused.stderr
