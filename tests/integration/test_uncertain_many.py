"""resolve for many at once: by type, age and instance; counted, and the count typed back."""

from __future__ import annotations

import io
import sys
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from notifyguard import clock
from notifyguard.decision import State
from notifyguard.ledger import uncertain
from notifyguard.models import Claim
from tests.factories import ClaimFactory, DeliveryFactory
from tests.mailbox import states
from tests.operators import deed, events

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("full")]

DAY = timedelta(days=1)


def lost(count=1, **more):
    for _ in range(count):
        at = more.get("created_at", timezone.now())
        row = DeliveryFactory(
            **{"state": State.UNCERTAIN, "wake_at": clock.never(), "created_at": at} | more
        )
        row.key = ClaimFactory(delivery=row.id).key
        row.save()


class Typing(io.StringIO):
    def isatty(self):
        return True


def test_by_type(monkeypatch):
    lost(3)
    lost(1, type="invoice.sent")
    said = deed("resolve", "--type", "ticket.*", "--sent", "--count", "3")
    assert "3 deliveries to 3 people" in said
    assert "3 deliveries resolved. They count as sent" in said
    assert states() == ["sent"] * 3 + ["uncertain"]
    assert events() == [("resolve", "ticket.*", "uncertain", "sent", 3, "ann", "a test")]


def test_by_age_and_instance():
    lost(1, created_at=timezone.now() - 2 * DAY)
    lost(1, instance="mail-2/boot/77")
    lost(1)
    deed("resolve", "--older-than", "1d", "--not-sent", "--count", "1")
    assert states() == ["failed", "uncertain", "uncertain"]
    assert Claim.objects.count() == 2  # the key of what was not sent is free
    deed("resolve", "--instance", "mail-2/", "--give-up", "--count", "1")
    assert states() == ["expired", "failed", "uncertain"]
    deed("resolve", "--newer-than", "1d", "--sent", "--count", "1")
    assert states() == ["expired", "failed", "sent"]


def test_all_in_batches(monkeypatch):
    monkeypatch.setattr(uncertain, "BATCH", 2)
    lost(5)
    deed("resolve", "--all", "--sent", "--count", "5")
    assert states() == ["sent"] * 5
    assert [event[4] for event in events()] == [2, 2, 1]


@pytest.mark.parametrize(("typed", "resolved"), [("2\n", True), ("1\n", False), ("y\n", False)])
def test_the_count_is_typed_back(monkeypatch, typed, resolved):
    lost(2)
    monkeypatch.setattr(sys, "stdin", Typing(typed))
    if resolved:
        assert "Type their number" in deed("resolve", "--all", "--sent")
    else:
        with pytest.raises(CommandError, match="2 deliveries are meant and not"):
            deed("resolve", "--all", "--sent")
    assert states() == ["sent" if resolved else "uncertain"] * 2


def test_nobody_there_to_type_it(monkeypatch):
    lost()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(CommandError, match="Add --count"):
        deed("resolve", "--all", "--sent")


def test_what_came_meanwhile_is_noticed_by_the_count():
    lost(2)
    with pytest.raises(CommandError, match="2 deliveries are meant and not 1"):
        deed("resolve", "--all", "--sent", "--count", "1")
    assert states() == ["uncertain"] * 2
    assert events() == []


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ((), "Name deliveries, or what is meant"),
        (("--type", "other.*"), "Nothing is uncertain that this means"),
        (("0190f5de-0000-7000-8000-000000000000", "--type", "*"), "not both"),
    ],
)
def test_what_is_not_clear_is_refused(words, refusal):
    lost()
    with pytest.raises(CommandError, match=refusal):
        deed("resolve", *words, "--sent", "--count", "1")
    assert states() == ["uncertain"]
