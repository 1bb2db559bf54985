"""exec: a management command that notifies nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.management.base import CommandError

from notifyguard.decision import State
from tests.mailbox import rows
from tests.operators import operate

pytestmark = pytest.mark.django_db(transaction=True)


def run(*command, suppress="*"):
    return operate("exec", "--suppress", suppress, "--reason", "backfill", "--", *command)


def test_what_a_command_sends_is_suppressed_and_counted(mailbox):
    said = run("sendtestemail", "ann@example.com", "bob@example.com")
    assert "2 deliveries suppressed" in said
    assert "django.test" in said
    assert mailbox.accepted() == []
    assert {(row.state, row.rule, row.reason) for row in rows()} == {
        (State.DISCARDED, "suppressed", "backfill")
    }


def test_only_what_the_pattern_means_is_suppressed(mailbox):
    assert "Nothing was suppressed" in run("sendtestemail", "a@example.com", suppress="ticket.*")
    assert mailbox.recipients() == ["a@example.com"]


def test_options_after_the_dashes_are_the_commands_own(mailbox):
    with pytest.raises(SystemExit) as ended:
        run("check", "--tag", "no_such_tag")
    assert ended.value.code == 1


@pytest.mark.parametrize("command", [(), ("python", "backfill.py"), ("no_such_command",)])
def test_what_cannot_be_suppressed_is_not_run(full, command):
    with pytest.raises(CommandError, match=r"exec|not a management command"):
        run(*command)


def test_the_exit_status_is_that_of_the_command(full, process_environment):
    words = ["exec", "--suppress", "*", "--reason", "x", "--", "check", "--tag", "no_such_tag"]
    done = subprocess.run(
        [sys.executable, "-m", "django", "notifyguard", *words],
        env=process_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no_such_tag" in done.stderr
    assert "Nothing was suppressed" in done.stdout
