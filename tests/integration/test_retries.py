"""Proven transient failures are tried again, others never; a message that kills is given up."""

from __future__ import annotations

import smtplib
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

import notifyguard
from notifyguard import clock, signals, sweeper
from notifyguard.decision import State
from notifyguard.ledger import queue
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.mailbox import batch, closed_port, come_due, letter, outcomes, rows, states, use_server
from tests.operators import deed
from tests.poison import Poison
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

POLICY = {"attempts": 2, "first": 60, "max": 100}


@pytest.fixture
def retried(mailbox, full):
    """Tickets are tried again, twice."""
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"retries": POLICY}}}
    return mailbox


@pytest.fixture
def down(retried, full):
    """Nothing listens where mail goes to, until the fixture is called."""
    up = retried.sink.port
    use_server(full, closed_port())
    return lambda: use_server(full, up)


@pytest.fixture
def given_up():
    """What the signal said."""
    heard = []

    def hear(sender, **said):
        heard.append((sender, said["rule"], said["type"]))

    signals.given_up.connect(hear)
    yield heard
    signals.given_up.disconnect(hear)


def waits():
    return [(row.wake_at - row.changed_at).total_seconds() for row in rows() if row.wake_at]


def test_without_the_option_a_failure_is_raised_as_ever(mailbox, full):
    use_server(full, closed_port())
    with pytest.raises(ConnectionRefusedError):
        letter("ann@example.com", key="1").send()
    assert states() == ["failed"]


@pytest.mark.parametrize("key", ["1", None])
def test_a_server_that_is_down_gets_it_when_it_is_back(retried, down, key):
    message = letter("ann@example.com", key=key)
    assert message.send() == 1
    assert outcomes(message) == {"ann@example.com": "queued"}
    (row,) = rows()
    assert (row.state, row.rule, row.retries) == ("queued", "retries", 1)
    assert "ConnectionRefusedError" in row.reason
    assert 30 <= waits()[0] <= 61
    assert sweeper.sweep().delivered == 0  # not yet
    down()
    come_due()
    sweeper.sweep()
    assert retried.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert not FrozenMessage.objects.exists()


def test_a_caller_that_tries_again_by_itself_makes_a_duplicate(retried, down):
    letter("ann@example.com", key="1", subject="Hello").send()
    down()
    assert letter("ann@example.com", key="1", subject="Hello").send() == 0
    come_due()
    sweeper.sweep()
    assert retried.recipients() == ["ann@example.com"]


def test_it_is_tried_so_often_and_then_failed_with_an_alarm(retried, down, given_up, caplog):
    letter("ann@example.com", key="1").send()
    for retry in (1, 2):
        assert [(row.state, row.retries) for row in rows()] == [("queued", retry)]
        assert given_up == []
        come_due()
        sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.retries, row.wake_at) == ("failed", 2, None)
    assert given_up == [(Delivery, "retries", "ticket.modified")]
    assert [each.levelname for each in caplog.records].count("CRITICAL") == 1
    assert "ann@" not in caplog.text
    assert not Claim.objects.exists()  # it may be sent anew
    assert not FrozenMessage.objects.exists()


def test_one_recipient_put_off_and_the_other_has_it(retried):
    message = letter("ann@example.com", "busy-451@example.com", key="1")
    assert message.send() == 1
    assert outcomes(message) == {"ann@example.com": "sent", "busy-451@example.com": "queued"}
    come_due()
    sweeper.sweep()
    assert retried.recipients() == ["ann@example.com"]
    assert [(row.state, row.retries) for row in rows(recipient__startswith="busy")] == [
        ("queued", 2)
    ]


def test_one_refused_for_good_and_the_other_for_now(retried):
    message = letter("refuse-550@example.com", "busy-451@example.com")
    assert message.send() == 1
    assert outcomes(message) == {
        "refuse-550@example.com": "failed",
        "busy-451@example.com": "queued",
    }


@pytest.mark.parametrize("who", ["refuse-550", "data-554"])
def test_what_is_refused_for_good_is_not_tried_again(retried, who):
    with pytest.raises(smtplib.SMTPException):
        letter(f"{who}@example.com", key="1").send()
    assert states() == ["failed"]


@pytest.mark.parametrize("who", ["drop-before", "drop-after"])
def test_what_may_have_left_is_never_tried_again(retried, who):
    with pytest.raises(smtplib.SMTPServerDisconnected):
        letter(f"{who}@example.com", key="1").send()
    assert states() == ["uncertain"]
    come_due()
    assert sweeper.sweep().delivered == 0


def test_what_cannot_be_built_is_not_tried_again(retried):
    with pytest.raises(ValueError, match=r"[Hh]eader"):
        letter("ann@example.com", subject="two\nlines").send()
    assert states() == ["failed"]


def test_what_cannot_be_kept_fails_as_ever(retried, down, caplog):
    message = letter("ann@example.com")
    message.unstorable = object()
    with pytest.raises(ConnectionRefusedError):
        message.send()
    assert states() == ["failed"]
    assert "cannot be tried again" in caplog.text


def test_a_batch_knocks_once_and_is_kept_whole(retried, full, monkeypatch):
    busy = [letter("busy-451@example.com", key="1"), letter("ann@example.com", key="1")]
    assert batch(*busy) == 2
    assert states() == ["queued", "sent"]
    use_server(full, closed_port())
    knocked = []
    connect = smtplib.SMTP.connect

    def knock(*arguments):
        knocked.append(arguments)
        return connect(*arguments)

    monkeypatch.setattr(smtplib.SMTP, "connect", knock)
    assert batch(*(letter(f"p{n}@example.com", key="1") for n in range(3))) == 3
    assert len(knocked) == 1
    assert states() == ["queued"] * 4 + ["sent"]
    assert FrozenMessage.objects.count() == 4


def test_a_silent_backend_keeps_it_too(retried, down):
    assert batch(letter("ann@example.com", key="1"), silent=True) == 1
    assert states() == ["queued"]


def test_what_failed_uses_no_limit_up(retried, down, full):
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"retries": POLICY, "limits": ["1/hour"]}}}
    letter("ann@example.com", key="1").send()
    down()
    come_due()
    sweeper.sweep()
    assert retried.recipients() == ["ann@example.com"]


def test_a_switch_set_meanwhile_holds_what_was_to_be_tried_again(retried, down):
    letter("ann@example.com", key="1").send()
    deed("hold", "ticket.*")
    down()
    come_due()
    sweeper.sweep()
    assert states() == ["held"]
    assert retried.accepted() == []


def test_deferred_inside_atomic_it_is_tried_again_after_the_commit(retried, down):
    with transaction.atomic():
        letter("ann@example.com", key="1").send()
    assert [(row.state, row.rule) for row in rows()] == [("queued", "retries")]
    down()
    come_due()
    sweeper.sweep()
    assert retried.recipients() == ["ann@example.com"]


def test_unkeyed_inside_atomic_it_lives_and_dies_with_the_transaction(retried, down):
    with transaction.atomic():
        assert letter("ann@example.com").send() == 1
        transaction.set_rollback(True)
    assert states() == []
    with transaction.atomic():
        letter("ann@example.com").send()
    assert states() == ["queued"]


# A message that kills its worker


SWEEPS = """
import sys, django
django.setup()
from django.conf import settings
from notifyguard import sweeper
from tests.mailbox import use_server
settings.NOTIFYGUARD = {"FROZEN_CLASSES": ["tests.poison.Poison"]}
use_server(settings, int(sys.argv[1]))
sweeper.sweep()
"""


@pytest.fixture
def sweep_elsewhere(mail_server, process_environment):
    """Sweep in a process of its own, which a message may kill; return its exit status."""
    environment = process_environment | {"NOTIFYGUARD_TEST_POISON": "1"}
    command = [sys.executable, "-W", "error", "-c", SWEEPS, str(mail_server.port)]

    def sweep():
        long_ago = timezone.now() - timedelta(hours=1)
        waiting = Delivery.objects.filter(state__in=[State.QUEUED, State.CLAIMED])
        waiting.update(wake_at=long_ago)
        return subprocess.run(command, env=environment, cwd=PROJECT, timeout=60).returncode

    return sweep


def queue_up(*messages):
    transaction.set_autocommit(False)
    try:
        for number, message in enumerate(messages):
            notifyguard.identify(message, "ticket.modified", key=number)
            message.send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)


def poison(to):
    return Poison("Hello", "text", "from@example.com", [to])


def test_a_message_that_kills_three_workers_is_failed_and_harms_no_other(
    mailbox, full, sweep_elsewhere, given_up, caplog
):
    full.NOTIFYGUARD |= {"FROZEN_CLASSES": ["tests.poison.Poison"]}
    good = [f"ann{number}@example.com" for number in range(4)]
    queue_up(
        *(letter(to) for to in good[:2]),
        poison("poison@example.com"),
        *(letter(to) for to in good[2:]),
    )
    ended = [sweep_elsewhere() for _ in range(5)]
    assert ended.count(9) == 3
    assert mailbox.recipients() == good
    assert states(recipient__startswith="ann") == ["sent"] * 4
    if not rows(state="failed"):
        sweeper.sweep()
    (row,) = rows(recipient="poison@example.com")
    assert (row.state, row.rule) == ("failed", "crashes")
    assert not Claim.objects.filter(delivery=row.id).exists()
    assert not FrozenMessage.objects.exists()


def test_its_end_is_an_alarm(mailbox, given_up, caplog):
    queue_up(letter("ann@example.com"))
    Delivery.objects.update(wake_at=clock.now(connection))
    for crashes in (1, 2, 3):
        assert len(queue.take(10)) == 1
        Delivery.objects.update(wake_at=clock.now(connection))
        ended = notifyguard.ledger.leases.expire_leases()
        assert given_up == ([(Delivery, "crashes", "ticket.modified")] if crashes == 3 else [])
    assert ended[State.FAILED] == 1
    assert "is given up (crashes)" in caplog.text


def test_what_outlived_a_process_is_taken_alone(mailbox):
    queue_up(*(letter(f"p{number}@example.com") for number in range(4)))
    now = clock.now(connection)
    for number in range(4):
        Delivery.objects.filter(recipient=f"p{number}@example.com").update(
            wake_at=now - timedelta(minutes=10 - number), crashes=number % 2
        )
    assert [len(queue.take(10)) for _ in range(4)] == [2, 1, 1, 0]
