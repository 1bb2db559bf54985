"""uncertain, resolve: a person's finding ends what nobody else can know."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from notifyguard.decision import State
from notifyguard.models import Claim
from tests.factories import DeliveryFactory
from tests.mailbox import letter, rows, states
from tests.operators import deed, events, facts, operate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lost(mailbox):
    """A keyed message of which nobody knows whether it left."""
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send("drop-before@example.com")
    (row,) = rows(state=State.UNCERTAIN)
    return row


def send(to):
    return letter(to, key="1", subject="Hello").send()


def test_uncertain_lists_what_to_look_for(lost):
    said = operate("uncertain")
    assert str(lost.id) in said
    assert lost.message_id in said
    (listed,) = facts("uncertain")
    assert (listed["id"], listed["recipient"]) == (str(lost.id), "drop-before@example.com")


def test_uncertain_says_when_there_is_nothing(full):
    assert "Nothing is uncertain" in operate("uncertain")


@pytest.mark.parametrize(
    ("finding", "state", "taken"),
    [("--sent", "sent", True), ("--not-sent", "failed", False), ("--give-up", "expired", True)],
)
def test_each_finding_ends_it_and_only_not_sent_frees_the_key(lost, finding, state, taken):
    assert "1 delivery resolved" in deed("resolve", str(lost.id), finding)
    (row,) = rows()
    assert (row.state, row.rule, row.wake_at) == (state, "resolved", None)
    assert row.reason.endswith("by ann: a test")
    assert Claim.objects.exists() is taken
    assert events() == [("resolve", str(lost.id), "uncertain", state, 1, "ann", "a test")]


def test_not_sent_lets_a_retry_send_it(lost):
    deed("resolve", str(lost.id), "--not-sent")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send("drop-before@example.com")  # it is tried again


@pytest.mark.parametrize("state", ["sent", "failed", "held", "queued", "discarded", "in_flight"])
def test_what_is_not_uncertain_is_refused(full, state):
    row = DeliveryFactory(state=state)
    with pytest.raises(CommandError, match="Nothing was resolved"):
        deed("resolve", str(row.id), "--not-sent")
    assert states() == [state]


def test_all_or_none(full):
    row = DeliveryFactory(state=State.UNCERTAIN)
    unknown = "ffffffff-ffff-5fff-bfff-ffffffffffff"  # sorted last: the other comes first
    with pytest.raises(CommandError, match="There is no delivery"):
        deed("resolve", str(row.id), unknown, "--sent")
    assert states() == ["uncertain"]
    assert events() == []


def test_a_lapsed_lease_may_be_resolved_before_the_sweeper_comes(full):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    hot = DeliveryFactory(state=State.IN_FLIGHT, created_at=an_hour_ago)
    kept = DeliveryFactory(state=State.IN_FLIGHT, wake_at=an_hour_ago)
    deed("resolve", str(hot.id), str(kept.id), "--sent")
    assert states() == ["sent", "sent"]


@pytest.mark.parametrize("words", [(), ("--sent", "--not-sent")])
def test_exactly_one_finding(full, words):
    with pytest.raises(CommandError):
        deed("resolve", str(uuid4()), *words)
