"""The terminal at 2 a.m.: 80 columns, a pipe that closes, Ctrl-C, colours that nobody wants."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from notifyguard import ledger, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.ledger import held
from notifyguard.ledger.held import pace
from tests.factories import DeliveryFactory, SwitchFactory
from tests.mailbox import letter, states
from tests.operators import Tty, operate

pytestmark = pytest.mark.django_db(transaction=True)

LONG_TYPE = "newsletter.sending.subscribers.send_the_weekly_issue_to_everybody"


def waiting(**more):
    later = timezone.now() + timedelta(days=999)
    return DeliveryFactory(id=ledger.new_id(), wake_at=later, **more)


def start(environment, *words, **more):
    command = [sys.executable, "-m", "django", "notifyguard", *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **more)


@pytest.fixture
def much_to_say(full, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    SwitchFactory(pattern="ticket.*", reason="users report doubles since the upgrade " * 4)
    SwitchFactory(pattern=LONG_TYPE, author="ann.of.the.second.shift", reason="flood")
    for state in (State.HELD, State.UNCERTAIN, State.SENT, State.DISCARDED):
        for type in ("ticket.modified", LONG_TYPE):
            waiting(
                state=state,
                type=type,
                rule="switch",
                message_id=f"<{'0123456789' * 6}@mail.example.com>",
                recipient="somebody.with.a.long.name@a.long.domain.example.com",
            )


@pytest.mark.parametrize(
    "words", [["status"], ["status", "--since", "1h"], ["held"], ["uncertain"]], ids=" ".join
)
def test_nothing_is_wider_than_80_columns_save_what_cannot_be_broken(much_to_say, words):
    said = operate(*words, terminal=True)
    wide = [line for line in said.splitlines() if len(line) > 80 and " " in line.strip()]
    # Sentences are wrapped by the terminal itself; what stands in columns is not.
    assert [line for line in wide if line.startswith("  ")] == []


def test_what_goes_to_a_file_has_a_line_for_each_row(much_to_say):
    rows = [line for line in operate("uncertain").splitlines() if "@mail.example.com" in line]
    assert len(rows) == 2


def test_what_comes_from_outside_does_not_move_the_cursor(full):
    SwitchFactory(reason="\x1b[2Jnothing\rto see")
    assert "?[2Jnothing to see" in operate("status")


def test_what_the_encoding_lacks_is_written_in_another_way(full, process_environment):
    SwitchFactory(reason="für Änne")
    environment = process_environment | {"PYTHONIOENCODING": "ascii"}
    with start(environment, "status", stdout=subprocess.PIPE) as process:
        said, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
    assert r"f\xfcr \xc4nne" in said


@pytest.mark.parametrize(
    "words", [["status"], ["discard-held", "--yes", "--reason", "x"]], ids=" ".join
)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["told at the end", "told at once"])
def test_a_pipe_that_closes_ends_nothing_in_the_middle(
    full, process_environment, words, unbuffered
):
    waiting(state=State.HELD, rule="switch")
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -0` does
    environment = process_environment | {"PYTHONUNBUFFERED": unbuffered}
    with start(environment, *words, stdout=writing) as process:
        os.close(writing)
        complaints = process.communicate(timeout=60)[1]
    assert (process.returncode, complaints) == (0, "")
    assert states() == ["held" if words == ["status"] else "discarded"]


def shown_on_a_terminal(environment, *words):
    ours, theirs = pty.openpty()
    with start(environment, *words, stdout=theirs, stdin=theirs):
        os.close(theirs)
        said = b""
        try:
            while read := os.read(ours, 65536):
                said += read
        except OSError:
            pass  # Linux says so when the other end is closed
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_obeyed(full, process_environment, value, coloured):
    SwitchFactory()
    environment = process_environment | {"NO_COLOR": value, "TERM": "xterm", "COLUMNS": "80"}
    said = shown_on_a_terminal(environment, "status")
    assert "Switches" in said
    assert ("\x1b[" in said) is coloured


def test_a_dumb_terminal_gets_no_progress_bar(full, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    waiting(state=State.HELD, rule="switch")
    assert "\r" not in operate("discard-held", "--yes", "--reason", "x", terminal=True)


@pytest.fixture
def pressed_at(monkeypatch):
    """Press Ctrl-C when this is shown."""

    def press_at(text):
        written = Tty.write

        def write_and_press(tty, shown):
            if text in shown:
                os.kill(os.getpid(), signal.SIGINT)
            return written(tty, shown)

        monkeypatch.setattr(Tty, "write", write_and_press)

    return press_at


def test_ctrl_c_in_a_release_ends_after_the_message_in_hand(mailbox, pressed_at, monkeypatch):
    monkeypatch.setattr(pace, "PORTION", 2)
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("ann"))
    for _ in range(5):
        letter().send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("ann"))
    pressed_at("] 1/5 released")
    with pytest.raises(CommandError, match="3 deliveries stay held") as stopped:
        operate("release", "--yes", "--reason", "x", terminal=True)
    assert stopped.value.returncode == 130
    assert states() == ["held", "held", "held", "queued", "sent"]
    assert len(mailbox.accepted()) == 1
    operate("sweep")
    assert len(mailbox.accepted()) == 2


def test_ctrl_c_in_a_discard_leaves_the_rest_held(full, pressed_at, monkeypatch):
    monkeypatch.setattr(held, "BATCH", 2)
    for _ in range(5):
        waiting(state=State.HELD, rule="switch")
    pressed_at("] 2/5 discarded")
    with pytest.raises(CommandError, match="3 deliveries stay held"):
        operate("discard-held", "--yes", "--reason", "x", terminal=True)
    assert states() == ["discarded"] * 2 + ["held"] * 3


def test_ctrl_c_while_waiting_leaves_the_switch_set(full, pressed_at):
    DeliveryFactory(state=State.IN_FLIGHT)
    pressed_at("in the air")
    with pytest.raises(CommandError, match="The switch is set") as stopped:
        operate("hold", "--wait", "--reason", "x", terminal=True)
    assert stopped.value.returncode == 130
    assert [each.pattern for each in switchboard.board(fresh=True).rulings] == ["*"]


def test_ctrl_c_anywhere_else_says_one_line(full, monkeypatch):
    def press():
        raise KeyboardInterrupt

    monkeypatch.setattr("notifyguard.ledger.uncertain.uncertain", press)
    with pytest.raises(CommandError, match=r"^Interrupted\.") as stopped:
        operate("uncertain")
    assert stopped.value.returncode == 130
