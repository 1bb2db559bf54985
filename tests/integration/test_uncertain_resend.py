"""on_uncertain: "resend": at least once, with the same Message-ID and Date, counted and bounded."""

from __future__ import annotations

import smtplib
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifyguard import clock, sweeper
from notifyguard.decision import State
from notifyguard.ledger import leases, queue, retries, uncertain
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.mailbox import batch, closed_port, letter, outcomes, rows, states, use_server
from tests.operators import deed, release
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def resent(mailbox, full):
    """Tickets are sent again when nobody knows whether they left."""
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"on_uncertain": "resend"}}}
    return mailbox


def lost(key="1"):
    """A message that the server accepted, and of which we do not know it."""
    message = letter("drop-after@example.com", key=key, subject="Hello")
    assert message.send() == 1
    return message


def refuse():
    """From now on the server refuses it."""
    Delivery.objects.update(recipient="refuse-550@example.com")
    message = FrozenMessage.objects.get()
    message.payload = message.payload.replace("drop-after@", "refuse-550@")
    message.save()


def come_due():
    now = clock.now(connection)
    Delivery.objects.filter(wake_at__lt=now + timedelta(days=1)).update(wake_at=now)


def test_by_default_it_stays_uncertain_and_nothing_is_kept(mailbox):
    with pytest.raises(smtplib.SMTPServerDisconnected):
        letter("drop-after@example.com", key="1").send()
    come_due()
    sweeper.sweep()
    assert len(mailbox.accepted()) == 1
    assert not FrozenMessage.objects.exists()


def test_with_everything_fine_it_leaves_once_and_nothing_stays_behind(resent):
    message = letter("ann@example.com", key="1")
    assert message.send() == 1
    assert outcomes(message) == {"ann@example.com": "sent"}
    assert resent.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert not FrozenMessage.objects.exists()
    assert "Message-ID" not in message.extra_headers


def test_it_says_how_often_it_was_sent_again_and_of_how_many(resent):
    lost()
    come_due()
    assert retries.resend() == 1
    assert "sent again (1 of 3): " in rows()[0].reason


@pytest.mark.parametrize("key", ["1", None])
def test_it_is_sent_again_as_the_same_message(resent, key):
    message = lost(key)
    assert outcomes(message) == {"drop-after@example.com": "uncertain"}
    (row,) = rows()
    assert row.state == "uncertain"
    assert row.wake_at is not None
    assert row.wake_at < clock.never()
    assert sweeper.sweep().resent == 0  # not yet
    come_due()
    assert sweeper.sweep().resent == 1
    first, second = resent.accepted()
    assert first["message_id"] == second["message_id"] == row.message_id
    assert first["size"] == second["size"]
    assert rows()[0].retries == 1


def test_date_and_text_are_those_of_the_first_try(resent):
    lost()
    frozen = FrozenMessage.objects.get().payload
    come_due()
    sweeper.sweep()
    assert FrozenMessage.objects.get().payload == frozen
    assert "Date" in frozen


def test_it_is_bounded_and_then_waits_for_a_person(resent, full):
    full.NOTIFYGUARD = {
        **full.NOTIFYGUARD,
        "TYPES": {"ticket.*": {"on_uncertain": "resend", "retries": {"attempts": 2}}},
    }
    lost()
    for _ in range(4):
        come_due()
        sweeper.sweep()
    assert len(resent.accepted()) == 3
    (row,) = rows()
    assert (row.state, row.retries, row.wake_at) == ("uncertain", 2, clock.never())
    assert Claim.objects.exists()


def test_a_process_that_dies_after_the_mark_has_it_sent_again(resent, mail_server):
    letter("ann@example.com", key="1", subject="Hello").send()  # opens the ledger
    lost("2")
    died = Delivery.objects.filter(recipient="drop-after@example.com")
    died.update(state=State.IN_FLIGHT, wake_at=timezone.now() - timedelta(minutes=1))
    swept = sweeper.sweep()
    assert (swept.uncertain, swept.resent) == (1, 0)
    come_due()
    assert sweeper.sweep().resent == 1


DIES = """
import os, sys, django
django.setup()
from django.conf import settings
from notifyguard.channels.transport.base import Transport
from tests.mailbox import letter, use_server
settings.NOTIFYGUARD = {"TYPES": {"ticket.*": {"on_uncertain": "resend"}}}
use_server(settings, int(sys.argv[1]))
import notifyguard.channels.transport.smtp as smtp
smtp.SMTPTransport.deliver = lambda self, message: os._exit(9)
letter("ann@example.com", key="1", subject="Hello").send()
"""


def test_a_process_that_is_killed_between_mark_and_hand_over(
    resent, mail_server, process_environment
):
    command = [sys.executable, "-W", "error", "-c", DIES, str(mail_server.port)]
    assert subprocess.run(command, env=process_environment, cwd=PROJECT).returncode == 9
    assert states() == ["in_flight"]
    for _ in range(2):
        come_due()
        sweeper.sweep()
    assert resent.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


def test_another_attempt_with_the_key_meanwhile_is_a_duplicate(resent):
    lost()
    assert letter("drop-after@example.com", key="1", subject="Hello").send() == 0
    assert states() == ["uncertain"]


def test_what_a_person_resolves_is_not_sent_again(resent):
    lost()
    (row,) = uncertain.uncertain()
    deed("resolve", str(row.id), "--sent")
    come_due()
    sweeper.sweep()
    assert len(resent.accepted()) == 1
    assert not FrozenMessage.objects.exists()


def test_nor_what_the_settings_say_no_more(resent, full):
    lost()
    full.NOTIFYGUARD = {"IN_TESTS": "full"}
    come_due()
    assert sweeper.sweep().resent == 0
    (row,) = rows()
    assert (row.state, row.wake_at) == ("uncertain", clock.never())


def test_a_switch_holds_it(resent):
    lost()
    deed("hold", "ticket.*")
    come_due()
    sweeper.sweep()
    assert states() == ["held"]


def test_refused_when_it_is_sent_again_it_stays_uncertain(resent):
    """The first may have left: to call it failed would free its key for one more."""
    lost()
    refuse()
    come_due()
    sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.rule, row.wake_at) == ("uncertain", "resend", clock.never())
    assert "550" in row.reason
    assert Claim.objects.exists()


@pytest.mark.parametrize("stopped_by", ["a switch", "a limit"])
def test_nor_does_it_fail_if_it_was_kept_back_before_it_was_sent_again(resent, full, stopped_by):
    """Whatever kept it back meanwhile, the first try may have left."""
    limits = ["1/hour"] if stopped_by == "a limit" else []
    options = {"on_uncertain": "resend", "limits": limits, "on_limit": "delay"}
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": options}}
    lost()
    if not limits:
        deed("hold", "ticket.*")
    come_due()
    sweeper.sweep()
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"on_uncertain": "resend"}}}
    refuse()
    if not limits:
        deed("resume", "ticket.*")
        release()
    come_due()
    sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.rule, row.wake_at) == ("uncertain", "resend", clock.never())
    assert Claim.objects.exists()


def test_nor_if_three_processes_died_over_it(resent):
    lost()
    come_due()
    retries.resend()
    for _ in range(3):
        queue.take(1)
        come_due()
        leases.expire_leases()
    (row,) = rows()
    assert (row.state, row.rule, row.wake_at) == ("uncertain", "crashes", clock.never())
    assert Claim.objects.exists()


def test_a_server_that_is_down_when_it_is_sent_again(resent, full):
    lost()
    up = resent.sink.port
    use_server(full, closed_port())
    come_due()
    sweeper.sweep()
    assert [(row.state, row.rule, row.retries) for row in rows()] == [("queued", "resend", 2)]
    for _ in range(2):
        come_due()
        sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.rule) == ("uncertain", "resend")  # and not failed
    use_server(full, up)
    assert Claim.objects.exists()


def test_a_batch_keeps_its_order_and_each_message_is_kept(resent):
    messages = [letter(f"p{number}@example.com", key="1") for number in range(3)]
    lossy = letter("drop-after@example.com", key="1")
    assert batch(*messages, lossy) == 4
    assert [envelope["to"] for envelope in resent.accepted()] == [
        *([f"p{number}@example.com"] for number in range(3)),
        ["drop-after@example.com"],
    ]
    assert FrozenMessage.objects.count() == 1


@pytest.mark.parametrize("key", ["1", None])
def test_inside_atomic_it_leaves_on_commit(resent, key):
    with transaction.atomic():
        letter("drop-after@example.com", key=key).send()
        assert resent.accepted() == []
    assert states() == ["uncertain"]
    come_due()
    sweeper.sweep()
    assert len(resent.accepted()) == 2


def test_limits_count_it_once_for_each_hand_over(resent, full):
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"on_uncertain": "resend", "limits": ["2/hour"]}}}
    lost()
    come_due()
    sweeper.sweep()
    assert len(resent.accepted()) == 2
    come_due()
    sweeper.sweep()
    assert [(row.state, row.rule) for row in rows()] == [("held", "limit")]


def test_a_proven_failure_is_raised_and_not_sent_again(resent):
    with pytest.raises(smtplib.SMTPException):
        letter("refuse-550@example.com", key="1").send()
    assert states() == ["failed"]
    assert not Claim.objects.exists()
    assert not FrozenMessage.objects.exists()
