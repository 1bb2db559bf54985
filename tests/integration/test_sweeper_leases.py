"""Sweepers that come too late: what another has ended is not theirs, nor is its key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from notifyguard import ledger, sweeper, switchboard
from notifyguard.decision import State
from notifyguard.gate import taken
from notifyguard.ledger import departure, leases, queue
from notifyguard.models import Claim, Delivery, FrozenMessage, Sweep
from tests.factories import DeliveryFactory
from tests.mailbox import letter, rows, states
from tests.operators import deed

pytestmark = pytest.mark.django_db(transaction=True)


def queued(person, key="1"):
    """Leave one queued row, due, whose process is gone."""
    transaction.set_autocommit(False)
    try:
        letter(person, key=key, subject="Hello").send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    let_an_hour_pass()


def let_an_hour_pass():
    then = timezone.now() - timedelta(hours=1)
    Delivery.objects.update(created_at=then, changed_at=then, wake_at=then)


def in_hand():
    """What a sweeper has in hand that has stopped to think."""
    return [ledger.rows.entry_of(row) for row in queue.take(10)]


def test_a_key_whose_row_another_has_ended_stays_free(mailbox):
    queued("refuse-550@example.com")
    slow = in_hand()
    let_an_hour_pass()
    sweeper.sweep()
    assert states() == ["failed"]
    assert departure.start(slow, switchboard.board()) == []
    assert states() == ["failed"]
    assert not Claim.objects.exists()


def test_what_another_has_sent_meanwhile_is_not_sent_again(mailbox):
    queued("ann@example.com")
    slow = queue.take(10)
    frozen = FrozenMessage.objects.get()
    let_an_hour_pass()
    assert sweeper.sweep().delivered == 1
    frozen.save(force_insert=True)  # the slow one has read it already
    list(taken.deliver(slow))
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert Claim.objects.get().duplicates == 0


def test_what_a_person_has_discarded_meanwhile_keeps_its_key_as_the_person_left_it(mailbox):
    queued("ann@example.com")
    slow = in_hand()
    queue.put_back(slow, rule="thaw", reason="somebody must look", state=State.HELD)
    deed("discard-held", "--all-rules", "--yes")
    assert departure.start(slow, switchboard.board()) == []
    assert states() == ["discarded"]
    assert not Claim.objects.exists()


def test_in_the_air_is_what_was_marked_within_the_lease_however_long_ago_it_was_claimed(mailbox):
    """The last message of a batch is marked long after all of the batch was claimed."""
    now = timezone.now()
    marked = DeliveryFactory(state=State.IN_FLIGHT, created_at=now - timedelta(minutes=15))
    Delivery.objects.filter(pk=marked.pk).update(changed_at=now - timedelta(seconds=5))
    assert leases.in_the_air() == 1
    DeliveryFactory(state=State.IN_FLIGHT, created_at=now - timedelta(minutes=15))
    assert leases.in_the_air() == 1


def test_the_lease_of_what_is_in_the_air_runs_from_its_mark(mailbox):
    """Else the sweeper would call it uncertain while it is sent, and ``--wait`` would miss it."""
    now = timezone.now()
    marked = DeliveryFactory(state=State.IN_FLIGHT, created_at=now - timedelta(minutes=15))
    Delivery.objects.filter(pk=marked.pk).update(changed_at=now - timedelta(seconds=5))
    sweeper.sweep()
    assert states() == ["in_flight"]
    assert leases.in_the_air() == 1


def test_a_lease_that_began_late_is_found_by_sweeps_that_have_looked_further(mailbox):
    now = timezone.now()
    marked = DeliveryFactory(state=State.IN_FLIGHT, created_at=now - timedelta(seconds=1300))
    Delivery.objects.filter(pk=marked.pk).update(changed_at=now - timedelta(seconds=600))
    Sweep.objects.create(
        ran_at=now - timedelta(seconds=5), examined_until=now - timedelta(seconds=605)
    )
    sweeper.sweep()
    assert states() == ["uncertain"]


def test_a_released_message_that_meets_its_own_claim_is_no_duplicate_of_itself(mailbox):
    deed("hold")
    letter("ann@example.com", key="1", subject="Hello").send()
    deed("resume")
    deed("release", "--yes")
    assert states() == ["sent"]
    assert Claim.objects.get().duplicates == 0
    assert letter("ann@example.com", key="1", subject="Hello").send() == 0
    assert Claim.objects.get().duplicates == 1
    assert len(rows()) == 1
