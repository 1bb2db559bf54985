"""sweep, prune: what runs by itself, and how it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifyguard import hold, sweeper
from notifyguard.channels.freezing import freeze
from notifyguard.decision import State
from notifyguard.ledger import retention
from notifyguard.models import Claim, Delivery, FrozenContent, FrozenMessage
from tests.factories import ClaimFactory, DeliveryFactory, RichMessageFactory
from tests.mailbox import states
from tests.operators import events, operate

pytestmark = pytest.mark.django_db(transaction=True)


def ago(days):
    return timezone.now() - timedelta(days=days)


def delivery(**more):
    return DeliveryFactory(**more)


def frozen(**more):
    message: Any = RichMessageFactory(**more)
    return freeze(message)


def test_sweep_delivers_what_is_due_and_says_so(three_due):
    assert "Deliveries swept: 3 taken from the queue" in operate("sweep")
    assert len(three_due.accepted()) == 3


def test_a_sweep_that_did_nothing_says_nothing(full):
    assert operate("sweep") == ""


def test_a_sweep_that_is_told_to_end_queues_the_rest_again(three_due):
    swept = sweeper.sweep(lambda delivered: delivered < 1)
    assert swept.delivered == 1
    assert states() == ["queued", "queued", "sent"]
    assert sweeper.sweep().delivered == 2
    assert len(three_due.accepted()) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_ends_cleanly_when_it_is_told_to(full, process_environment, number):
    words = ["notifyguard", "sweep", "--loop", "--every", "3600"]
    # A lapsed lease, so that the loop has something to say once it runs.
    delivery(state=State.IN_FLIGHT, created_at=ago(1))
    with subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        env=process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as loop:
        try:
            assert loop.stdout is not None
            assert "1 uncertain" in loop.stdout.readline()
            loop.send_signal(number)
            said, complaints = loop.communicate(timeout=20)
        finally:
            loop.kill()  # one that does not end must not outlive the test
    assert (loop.returncode, complaints) == (0, "")
    assert "Ended after the message that was in hand" in said


def test_prune_deletes_what_is_old_and_settled(full):
    delivery(created_at=ago(91))
    kept = delivery(created_at=ago(89))
    assert "deliveries: 1 deleted" in operate("prune")
    assert Delivery.objects.get() == kept
    assert [event[:5] for event in events()] == [("prune", "deliveries", "", "deleted", 1)]


@pytest.mark.parametrize("state", ["queued", "claimed", "uncertain", "held"])
def test_prune_never_deletes_what_waits(full, state):
    row = delivery(state=state, created_at=ago(999))
    ClaimFactory(delivery=row.id, claimed_at=ago(999))
    hold.keep(row.dispatch, frozen(), ago(999))
    operate("prune")
    assert states() == [state]
    assert Claim.objects.count() == FrozenMessage.objects.count() == 1


def test_prune_calls_uncertain_what_was_in_the_air_all_that_time(full):
    delivery(state=State.IN_FLIGHT, created_at=ago(91))
    assert "deliveries in the air: 1 made uncertain" in operate("prune")
    assert states() == ["uncertain"]
    assert "Nothing is older" in operate("prune")


def test_prune_leaves_what_was_settled_lately_however_old(full):
    delivery(created_at=ago(91), changed_at=ago(1))
    operate("prune")
    assert states() == ["sent"]


def test_prune_frees_old_keys_whose_delivery_is_settled_or_gone(full):
    settled, open_row = delivery(), delivery(state=State.HELD)
    for row in (settled, open_row):
        ClaimFactory(delivery=row.id, claimed_at=ago(401))
    ClaimFactory(claimed_at=ago(401))
    young = ClaimFactory(claimed_at=ago(399))
    assert "claims: 2 deleted" in operate("prune")
    assert {claim.delivery for claim in Claim.objects.all()} == {open_row.id, young.delivery}


def test_prune_drops_bodies_of_what_is_settled_for_that_long(full):
    kept = frozen(attachments=[("a.bin", b"\0\1", "application/x-a")])
    dispatches = {}
    for name, state, changed in (
        ("old", State.DISCARDED, ago(4)),
        ("lately", State.DISCARDED, ago(1)),
        ("held", State.HELD, ago(9)),
    ):
        row = delivery(state=state, created_at=ago(9), changed_at=changed)
        hold.keep(row.dispatch, kept, ago(9))
        dispatches[name] = row.dispatch
    orphan = uuid4()
    hold.keep(orphan, kept, ago(9))
    assert "bodies: 2 deleted" in operate("prune")
    left = {dispatches["lately"], dispatches["held"]}
    assert set(FrozenMessage.objects.values_list("dispatch", flat=True)) == left
    assert set(FrozenContent.objects.values_list("dispatch", flat=True)) == left


def test_prune_goes_on_past_what_stays(full, monkeypatch):
    monkeypatch.setattr("notifyguard.ledger.retention.BATCH", 2)
    for number in range(7):
        state = State.HELD if number % 3 == 0 else State.SENT
        delivery(created_at=ago(100 - number), state=state)
    assert "deliveries: 4 deleted" in operate("prune")
    assert states() == ["held"] * 3


def test_prune_ends_each_batch_in_a_transaction_of_its_own(full, monkeypatch):
    monkeypatch.setattr("notifyguard.ledger.retention.BATCH", 2)
    for _ in range(5):
        delivery(created_at=ago(91))
    (part,) = [part for part in retention.parts() if part.name == "deliveries"]
    pruning = part.prune()
    assert next(pruning) == 2
    assert not connection.in_atomic_block
    assert Delivery.objects.count() == 3
    with CaptureQueriesContext(connection) as queries:
        assert next(pruning) == 2
    # It goes on where the batch before ended, past whatever stays though it is old.
    assert re.search(r"created_at. >= ", queries[0]["sql"]), queries[0]["sql"]
    pruning.close()
    assert events()[-1][4] == 4


def test_a_dry_run_only_counts(full):
    delivery(created_at=ago(91))
    assert "deliveries: 1 would be deleted" in operate("prune", "--dry-run")
    assert Delivery.objects.count() == 1
    assert events() == []


def test_retention_is_what_the_settings_say(full):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "RETENTION": {"deliveries": 1}}
    delivery(created_at=ago(2))
    operate("prune")
    assert states() == []
