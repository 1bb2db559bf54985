"""exec: whatever process it starts, and whatever that one starts, notifies nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from notifyguard.decision import State
from notifyguard.inherited import VARIABLE
from notifyguard.management.subcommands import children
from notifyguard.models import Event
from tests.factories import DeliveryFactory
from tests.mailbox import rows
from tests.operators import events, operate, status
from tests.settings import BASE_DIR

pytestmark = pytest.mark.django_db(transaction=True)

DJANGO = (sys.executable, "-m", "django")
WHY = ("--reason", "backfill", "--actor", "ann")
SEND = "import django; django.setup(); from django.core.mail import send_mail; "


@pytest.fixture
def shell(full, process_environment):
    """Run words as a shell does, with the test's database; return what came of it."""

    def run(*words, **environment):
        return subprocess.run(
            words,
            env=process_environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def execute(shell):
    def run(*command, suppress="*", **environment):
        words = ("notifyguard", "exec", "--suppress", suppress, *WHY, "--", *command)
        return shell(*DJANGO, *words, **environment)

    return run


def program(body):
    return sys.executable, "-c", f"{SEND}{body}"


def to(recipient):
    return f"send_mail('s', 'b', None, ['{recipient}@example.com'])"


def came_of_it():
    """What became of each recipient, and for which reason."""
    return {row.recipient.partition("@")[0]: (row.state, row.reason) for row in rows()}


def test_what_a_management_command_sends_is_suppressed_and_counted(execute):
    done = execute("sendtestemail", "ann@example.com", "bob@example.com")
    assert done.returncode == 0, done.stderr
    assert "2 deliveries suppressed:" in done.stdout
    assert "django.test" in done.stdout
    assert {(row.state, row.rule, row.reason) for row in rows()} == {
        (State.DISCARDED, "suppressed", "backfill")
    }


def test_what_any_program_sends_is_suppressed(execute):
    done = execute(*program(to("ann")))
    assert "1 delivery suppressed:" in done.stdout, done.stderr
    assert came_of_it() == {"ann": (State.DISCARDED, "backfill")}


def test_only_what_the_pattern_means_is_suppressed(execute):
    done = execute("sendtestemail", "ann@example.com", suppress="ticket.*")
    assert "Nothing was suppressed" in done.stdout
    assert "No message of the type ticket.* has been seen yet" in done.stderr
    assert came_of_it() == {"ann": (State.SENT, "")}


def test_threads_and_processes_that_it_starts_are_suppressed_too(execute):
    grandchild = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SEND + to('g')!r}])"
    )
    body = f"""
        from threading import Thread
        thread = Thread(target=lambda: {to("t")})
        thread.start(); thread.join()
        {grandchild}
    """
    done = execute(sys.executable, "-c", SEND + "\n" + dedent(body))
    assert done.returncode == 0, done.stderr
    assert came_of_it() == {
        "t": (State.DISCARDED, "backfill"),
        "g": (State.DISCARDED, "backfill"),
    }


def test_one_inside_another_adds_to_it(execute):
    inner = (*DJANGO, "notifyguard", "exec", "--suppress", "ticket.*", "--reason", "inner", "--")
    sends = "import notifyguard\nfor type in ('ticket.x', 'invoice.x'):\n"
    sends += f"    with notifyguard.notification(type): {to('ann')}"
    done = execute(*inner, sys.executable, "-c", f"{SEND}\n{sends}")
    assert done.returncode == 0, done.stderr
    assert {(row.type, row.state, row.reason) for row in rows()} == {
        ("ticket.x", State.DISCARDED, "inner"),
        ("invoice.x", State.DISCARDED, "backfill"),
    }


def test_the_inform_step_is_stronger(execute):
    body = "import notifyguard\nwith notifyguard.unsuppressed('*', reason='tell'): " + to("ann")
    execute(sys.executable, "-c", f"{SEND}\n{body}")
    assert came_of_it() == {"ann": (State.SENT, "")}


def test_it_is_on_record_before_the_command_runs_and_without_its_arguments(execute):
    body = "from notifyguard.models import Event; assert Event.objects.count() == 1"
    assert execute(*program(body)).returncode == 0
    said = ("suppress", "*", "", f"while {sys.executable} runs", None, "ann", "backfill")
    assert events() == [said]


def test_options_after_the_dashes_are_the_commands_own_and_so_is_its_status(execute):
    done = execute("check", "--tag", "no_such_tag")
    assert done.returncode == 1
    assert "no_such_tag" in done.stderr
    assert "Nothing was suppressed" in done.stdout
    assert execute(sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_management_command_runs_under_the_same_python_and_script(shell, tmp_path):
    script = tmp_path / "manage.py"
    script.write_text(
        "import sys\nfrom django.core.management import execute_from_command_line\n"
        "print('by', sys.argv[0], sys.flags.dev_mode, flush=True)\n"
        "execute_from_command_line(sys.argv)\n"
    )
    words = ("notifyguard", "exec", "--suppress", "*", *WHY, "--", "check", "--tag", "urls")
    done = shell(sys.executable, "-X", "dev", str(script), *words, PYTHONPATH=str(BASE_DIR))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"by {script} True") == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((), "Say what to run"),
        (("no_such_command",), "neither a management command"),
        (("sendtestmail",), "Did you mean sendtestemail?"),
        (("tests/settings.py",), "Did you mean: python tests/settings.py?"),
    ],
    ids=str,
)
def test_what_cannot_run_is_said_and_is_not_on_record(full, capsys, command, said):
    assert status("exec", "--suppress", "*", *WHY, "--", *command) == 2
    assert said in capsys.readouterr().err
    assert not Event.objects.exists()


def test_a_pattern_that_cannot_be_passed_on_is_refused(full):
    with pytest.raises(CommandError, match="space"):
        operate("exec", "--suppress", "a b", *WHY, "--", "check")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_ended_is_reported_all_the_same(process_environment, full, number):
    # It tells us that it runs; then the terminal's Ctrl-C reaches both, a SIGTERM only us.
    body = "import time; print('runs', flush=True); time.sleep(600)"
    words = ("notifyguard", "exec", "--suppress", "*", *WHY, "--", sys.executable, "-c", body)
    with subprocess.Popen(
        (*DJANGO, *words),
        env=process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "runs\n"
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            said = process.communicate(timeout=60)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "Nothing was suppressed" in said
    assert process.returncode == 128 + number


def test_a_child_outside_of_the_main_thread_needs_no_signals():
    assert children.run([sys.executable, "-c", "raise SystemExit(3)"], os.environ) == 3


@pytest.mark.parametrize("text", ["ticket.*", "ticket.? backfill", "1"])
def test_what_cannot_be_read_holds_everything_and_says_so(shell, text):
    done = shell(*program(to("ann")), **{VARIABLE: text, "NOTIFYGUARD_SENDING": "open"})
    assert done.returncode == 0, done.stderr
    assert f'{VARIABLE} is "{text}", which cannot be used.' in done.stderr
    assert "Until then all mail of this process is held." in done.stderr
    ((state, reason),) = came_of_it().values()
    assert (state, reason) == (State.HELD, "hold by environment (everything)")
    checked = shell(*DJANGO, "check", **{VARIABLE: text})
    assert checked.returncode == 1
    assert "notifyguard.E001" in checked.stderr


def test_a_forgotten_one_is_said_at_start_by_a_check_and_by_status(shell):
    forgotten = {VARIABLE: "ticket.* backfill"}
    started = shell(sys.executable, "-c", "import django; django.setup()", **forgotten)
    said = "notify nobody of ticket.* (backfill)"
    assert [
        line for line in started.stderr.splitlines() if said in line
    ] == started.stderr.splitlines()
    checked = shell(*DJANGO, "check", **forgotten)
    assert checked.returncode == 0
    assert "notifyguard.W010" in checked.stderr
    DeliveryFactory(created_at=timezone.now())
    told = shell(*DJANGO, "notifyguard", "status", **forgotten).stdout
    assert any(
        line.split()[:4] == ["ticket.*", "suppressed", "environment", "backfill"]
        for line in told.splitlines()
    )


def test_unset_or_empty_it_says_nothing(shell):
    started = shell(sys.executable, "-c", "import django; django.setup()", **{VARIABLE: ""})
    assert (started.returncode, started.stderr) == (0, "")
