"""Many senders of the same message: one leaves, whoever wins, on whatever isolation level."""

from __future__ import annotations

import subprocess
import sys
from threading import Barrier

import pytest
from django.db import connection, transaction

from notifyguard.models import Claim
from tests.mailbox import batch, letter, states
from tests.smtp import PROJECT
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 8
LEVELS = ["read committed", "repeatable read", "serializable"]

PROCESS = """
import sys, django
django.setup()
from django.conf import settings
from tests.mailbox import letter, use_server
settings.NOTIFYGUARD = {}
use_server(settings, int(sys.argv[1]))
from django.db import connection
connection.ensure_connection()
print("ready", flush=True)
sys.stdin.readline()
letter("ann@example.com", key="1", subject="Hello").send()
"""


@pytest.fixture
def isolation(request):
    """Every new connection of the test's threads has the level; SQLite knows only one."""
    options = connection.settings_dict["OPTIONS"]
    if connection.vendor == "sqlite":
        if request.param != LEVELS[-1]:
            pytest.skip("SQLite knows one isolation level")
        yield
        return
    by_number = connection.vendor == "postgresql"
    options["isolation_level"] = LEVELS.index(request.param) + 2 if by_number else request.param
    connection.close()
    yield
    del options["isolation_level"]
    connection.close()


def test_processes_that_race_for_a_key_send_it_once(mailbox, mail_server, process_environment):
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(mail_server.port)]
    senders = [
        subprocess.Popen(
            command,
            env=process_environment,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(SENDERS)
    ]
    try:
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
        for sender in senders:
            print("go", file=sender.stdin, flush=True)
        assert [sender.wait(TIMEOUT) for sender in senders] == [0] * SENDERS
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()
    assert mailbox.recipients().count("ann@example.com") == 1
    assert Claim.objects.get().duplicates == SENDERS - 1


@pytest.mark.parametrize("isolation", LEVELS, indirect=True)
def test_threads_that_race_for_a_key_send_it_once(mailbox, isolation):
    together = Barrier(SENDERS)

    def send():
        together.wait(TIMEOUT)
        return letter("ann@example.com", key="1", subject="Hello").send()

    with threads(SENDERS) as started:
        for _ in range(SENDERS):
            started.start(send)
        assert sorted(started.wait()) == [0] * (SENDERS - 1) + [1]
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


@pytest.mark.parametrize("isolation", LEVELS, indirect=True)
def test_batches_that_race_for_the_same_keys_send_each_once(mailbox, isolation):
    together = Barrier(4)
    people = [f"person{number}@example.com" for number in range(10)]

    def send(order):
        messages = [letter(person, key="1", subject="Hello") for person in order]
        together.wait(TIMEOUT)
        return batch(*messages)

    with threads(4) as started:
        for order in (people, people[::-1]) * 2:
            started.start(send, order)
        assert sum(started.wait()) == len(people)
    assert mailbox.recipients() == people
    assert set(states()) == {"sent"}


@pytest.mark.parametrize("isolation", LEVELS, indirect=True)
def test_transactions_that_queue_the_same_keys_send_each_once(mailbox, isolation):
    together = Barrier(4)

    def send(person):
        with transaction.atomic():
            letter("both@example.com", key="1", subject="Hello").send()
            letter(person, key="1", subject="Hello").send()
        together.wait(TIMEOUT)

    with threads(4) as started:
        for number in range(4):
            started.start(send, f"person{number}@example.com")
    assert mailbox.recipients().count("both@example.com") == 1
    assert len(mailbox.recipients()) == 5


@pytest.mark.needs("postgresql", "mariadb")
@pytest.mark.parametrize("isolation", LEVELS, indirect=True)
def test_two_callers_with_the_same_mails_in_other_orders_do_not_deadlock(mailbox, isolation):
    together = Barrier(2)

    def send(first, second):
        with transaction.atomic():
            letter(first, key="1", subject="Hello").send()
            together.wait(TIMEOUT)  # each has its first and wants the other's
            letter(second, key="1", subject="Hello").send()
            together.wait(TIMEOUT)

    with threads(2) as started:
        started.start(send, "a@example.com", "b@example.com")
        started.start(send, "b@example.com", "a@example.com")
    assert mailbox.recipients() == ["a@example.com", "b@example.com"]
