"""A sweeper that runs for long obeys the switches as they stand at each of its messages."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

import notifyguard
from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.models import Delivery, Switch
from tests.mailbox import rows, states
from tests.operators import deed
from tests.smtp import POLL, PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60  # seconds; on a busy machine a process takes long to start

SWEEPER = """
import sys, django
django.setup()
from django.conf import settings
from django.core.management import call_command
from tests.mailbox import use_server
settings.NOTIFYGUARD = {}
use_server(settings, int(sys.argv[1]))
call_command("notifyguard", "sweep", "--loop", "--every", "1")
"""


class StopsAll(EmailMessage):
    """A message at which somebody stops all mail, once and if so armed: when it is built."""

    armed = False

    def message(self, *args, **kwargs):
        if StopsAll.armed:
            StopsAll.armed = False
            switchboard.set_switch("*", Sending.HOLD, reason="stop", actor=unrestricted("me"))
        return super().message(*args, **kwargs)


@pytest.fixture
def armed():
    StopsAll.armed = True
    yield
    StopsAll.armed = False


def queue_up(*people, cls=EmailMessage):
    """Leave queued rows that no sweeper takes yet: for 30 seconds they are their sender's."""
    transaction.set_autocommit(False)
    try:
        for person in people:
            message = cls("Hello", "text", "from@example.com", [f"{person}@example.com"])
            notifyguard.identify(message, "ticket.modified", key="1")
            message.send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)


def make_due():
    Delivery.objects.filter(state="queued").update(wake_at=timezone.now())


def wait_for(expected):
    """Return once the ledger says so; it is another process that writes it."""
    deadline = time.monotonic() + PATIENCE
    while (found := states()) != expected:
        assert time.monotonic() < deadline, f"the ledger says {found}, not {expected}"
        time.sleep(POLL)


def operator(environment, *words):
    """Run the command in a process of its own: nothing of it is known to this one."""
    command = [sys.executable, "-W", "error", "-m", "django", "notifyguard", *words]
    subprocess.run(
        [*command, "--reason", "a test"], env=environment, cwd=PROJECT, timeout=60, check=True
    )


@contextmanager
def a_sweeper_in_a_loop(environment, port):
    command = [sys.executable, "-W", "error", "-c", SWEEPER, str(port)]
    with subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.DEVNULL) as run:
        try:
            yield
        finally:
            run.terminate()
    assert run.returncode == 0


def test_what_was_released_leaves_by_a_sweeper_that_had_seen_the_hold(
    mailbox, mail_server, process_environment
):
    queue_up("ann", "bob")
    with a_sweeper_in_a_loop(process_environment, mail_server.port):
        deed("hold")
        make_due()
        wait_for(["held", "held"])
        assert {row.rule for row in rows()} == {"switch"}  # from now on the sweeper knows it
        deed("resume")
        deed("release", "--later", "--yes")  # only the sweeper delivers
        wait_for(["sent", "sent"])
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]


def test_a_hold_in_the_middle_of_a_sweep_stops_the_next_message(mailbox, process_environment):
    queue_up("ann", "bob", "cat", "dan", "eve")
    make_due()

    def go_on(delivered):
        if delivered == 2 and not Switch.objects.exists():
            operator(process_environment, "hold")
        return True

    sweeper.sweep(go_on)
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]
    assert states() == ["held"] * 3 + ["sent"] * 2


def test_a_hold_between_the_look_at_the_switches_and_the_mark_stops_the_message(mailbox, armed):
    queue_up("ann", "bob", cls=StopsAll)
    make_due()
    sweeper.sweep()
    assert mailbox.accepted() == []
    assert {(row.state, row.rule) for row in rows()} == {("held", "switch")}
