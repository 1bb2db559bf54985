"""What a dead process left: queued again, failed with its key free, or uncertain; never twice."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from threading import Barrier, Event

import pytest
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from notifyguard import clock, ledger, sweeper, switchboard
from notifyguard.decision import State
from notifyguard.ledger import departure, leases, queue
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.factories import ClaimFactory, DeliveryFactory
from tests.mailbox import batch, letter, rows, states
from tests.smtp import PROJECT
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(hours=1)

DIES_AFTER_COMMIT = """
import os, sys, django
django.setup()
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from tests.mailbox import letter, use_server
settings.NOTIFYGUARD = {}
use_server(settings, int(sys.argv[1]))
with transaction.atomic():
    transaction.on_commit(lambda: os._exit(9))  # committed; before anything is delivered
    for number in range(3):
        letter(f"person{number}@example.com", key="1").send()
"""


def age(**conditions):
    """Let the time pass for these rows, as if their process had died an hour ago."""
    then = timezone.now() - LONG_AGO
    Delivery.objects.filter(**conditions).update(created_at=then, changed_at=then)
    Delivery.objects.filter(**conditions, wake_at__lt=clock.never()).update(wake_at=then)


def queue_up(count):
    """Leave queued rows whose process is gone: with autocommit off nobody delivers on commit."""
    transaction.set_autocommit(False)
    try:
        for number in range(count):
            letter(f"person{number}@example.com", key="1").send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert states() == ["queued"] * count


def claimed(**more):
    row = DeliveryFactory(state=State.CLAIMED, created_at=timezone.now() - LONG_AGO, **more)
    claim = ClaimFactory(delivery=row.id)
    row.key = claim.key
    row.save()
    return row


def test_the_sweeper_delivers_what_a_process_committed_and_died(
    mailbox, mail_server, process_environment
):
    command = [sys.executable, "-W", "error", "-c", DIES_AFTER_COMMIT, str(mail_server.port)]
    died = subprocess.run(command, env=process_environment, cwd=PROJECT, timeout=60)
    assert died.returncode == 9
    assert states() == ["queued"] * 3
    assert mailbox.accepted() == []
    age()
    assert sweeper.sweep().delivered == 3
    assert mailbox.recipients() == [f"person{number}@example.com" for number in range(3)]
    assert states() == ["sent"] * 3
    assert not FrozenMessage.objects.exists()


def test_a_message_just_queued_is_left_to_the_process_that_queued_it(mailbox):
    queue_up(1)
    assert sweeper.sweep().delivered == 0
    assert states() == ["queued"]


def test_sweepers_in_parallel_deliver_each_once(mailbox):
    queue_up(20)
    age()
    together = Barrier(3)

    def sweep():
        together.wait(TIMEOUT)
        return sweeper.sweep().delivered

    with threads(3) as started:
        for _ in range(3):
            started.start(sweep)
        assert sum(started.wait()) == 20
    assert mailbox.recipients() == sorted(f"person{number}@example.com" for number in range(20))


@pytest.mark.needs("postgresql", "mariadb")
def test_a_sweeper_does_not_wait_for_rows_that_another_has_locked(mailbox):
    queue_up(3)
    age()
    locked, done = Event(), Event()

    def other_sweeper():
        with transaction.atomic():
            first = Delivery.objects.order_by("wake_at").select_for_update()[:1]
            assert len(first) == 1
            locked.set()
            assert done.wait(TIMEOUT)

    with threads(1) as started:
        started.start(other_sweeper)
        assert locked.wait(TIMEOUT)
        try:
            assert len(queue.take(10)) == 2
        finally:
            done.set()


def test_the_sweeper_goes_on_after_a_message_that_fails(mailbox):
    transaction.set_autocommit(False)
    try:
        letter("refuse-550@example.com", key="1").send()
        letter("ann@example.com", key="1").send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    age()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["failed", "sent"]


def test_what_a_switch_stops_the_sweeper_holds(mailbox, settings):
    queue_up(2)
    age()
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    sweeper.sweep()
    assert mailbox.accepted() == []
    assert states() == ["held", "held"]
    assert FrozenMessage.objects.count() == 2


def test_a_message_that_is_gone_is_held_for_a_person(mailbox):
    queue_up(1)
    age()
    FrozenMessage.objects.all().delete()
    sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.rule) == (State.HELD, "thaw")
    assert "gone" in row.reason


def test_what_was_meant_for_the_default_mailer_leaves_under_a_django_without_aliases(mailbox):
    queue_up(1)
    age()
    Delivery.objects.update(backend="default")  # as Django 6.1 calls it
    sweeper.sweep()
    assert states() == ["sent"]
    assert len(mailbox.accepted()) == 1


@pytest.mark.parametrize("label", ["marketing", "project.gone.EmailBackend"])
def test_what_was_meant_for_a_backend_that_is_gone_is_held_and_says_so(mailbox, label):
    queue_up(1)
    age()
    Delivery.objects.update(backend=label)
    sweeper.sweep()
    (row,) = rows()
    assert (row.state, row.rule) == (State.HELD, "backend")
    assert f'"{label}"' in row.reason
    assert FrozenMessage.objects.exists()


def test_a_claimed_row_without_its_message_fails_and_frees_its_key(mailbox):
    row = claimed()
    assert leases.expire_leases()[State.FAILED] == 1
    row.refresh_from_db()
    assert (row.state, row.rule) == (State.FAILED, "lease")
    assert not Claim.objects.exists()


def test_a_row_that_a_sweeper_took_and_died_over_is_queued_again(mailbox):
    queue_up(1)
    age()
    ledger.queue.take(10)
    assert states() == ["claimed"]
    age()
    assert sweeper.sweep().requeued == 1
    assert mailbox.recipients() == ["person0@example.com"]


def test_a_marked_row_is_uncertain_after_its_lease_and_never_sent_again(mailbox):
    letter("ann@example.com", key="1", subject="Hello").send()
    Delivery.objects.update(state=State.IN_FLIGHT)
    age()
    swept = sweeper.sweep()
    assert (swept.uncertain, swept.delivered) == (1, 0)
    assert states() == ["uncertain"]
    assert letter("ann@example.com", key="1", subject="Hello").send() == 0
    sweeper.sweep()
    assert len(mailbox.accepted()) == 1


def test_a_marked_row_from_the_queue_is_uncertain_too_and_keeps_its_message(mailbox):
    queue_up(1)
    age()
    (row,) = ledger.queue.take(1)
    departure.start([ledger.rows.entry_of(row)], switchboard.board())
    assert states() == ["in_flight"]
    age()
    sweeper.sweep()
    assert states() == ["uncertain"]
    assert FrozenMessage.objects.count() == 1
    assert mailbox.accepted() == []


@pytest.mark.parametrize("state", [State.CLAIMED, State.IN_FLIGHT])
def test_a_running_lease_is_left_alone(mailbox, state):
    DeliveryFactory(state=state)
    assert set(leases.expire_leases().values()) == {0}


def test_a_short_lease_is_a_setting(mailbox, settings):
    DeliveryFactory(state=State.IN_FLIGHT, created_at=timezone.now() - timedelta(seconds=20))
    settings.NOTIFYGUARD |= {"LEASE": 10}
    assert leases.expire_leases()[State.UNCERTAIN] == 1


def test_late_evidence_is_accepted(mailbox):
    DeliveryFactory(state=State.IN_FLIGHT, created_at=timezone.now() - LONG_AGO)
    entry = ledger.rows.entry_of(Delivery.objects.get())
    leases.expire_leases()
    entry.state = State.SENT
    ledger.confirm([entry])
    assert states() == ["sent"]
    assert Delivery.objects.get().wake_at is None


def test_late_evidence_of_a_failure_frees_the_key(mailbox):
    row = claimed()
    Delivery.objects.update(state=State.IN_FLIGHT)
    entry = ledger.rows.entry_of(row)
    leases.expire_leases()
    entry.state = State.FAILED
    ledger.confirm([entry])
    assert states() == ["failed"]
    assert not Claim.objects.exists()


def test_who_takes_a_claimed_row_over_sends_it_and_the_batch_does_not(mailbox):
    """The batch has claimed both; its first hand-over lets another process in."""
    second = letter("second@example.com", key="1", subject="Hello")
    mine: list[EmailMessage] = []

    class Between(EmailMessage):
        def message(self, *args, **kwargs):
            if not mine:
                mine.append(letter("second@example.com", key="1", subject="Hello"))
                with threads(1) as started:
                    started.start(mine[0].send)
            return super().message(*args, **kwargs)

    first = Between("First", "text", "from@example.com", ["first@example.com"])
    assert batch(first, second) == 1
    assert mailbox.recipients() == ["first@example.com", "second@example.com"]
    taken = Delivery.objects.get(recipient="second@example.com")
    assert (taken.state, taken.attempt) == (State.SENT, 2)
