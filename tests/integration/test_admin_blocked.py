"""The pages of blocked addresses: who gets nothing, why, and who said so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from notifyguard import blocked
from notifyguard.actor import unrestricted
from notifyguard.models import BlockedAddress
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

BLOCKED = reverse("admin:notifyguard_blockedaddress_changelist")
BLOCK = reverse("admin:notifyguard_blockedaddress_block")
UNBLOCK = reverse("admin:notifyguard_blockedaddress_unblock")


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def text(response):
    return " ".join(response.content.decode().split())


@pytest.fixture
def ann_is_blocked(full):
    blocked.block(["ann@example.com"], reason="she asked", actor=unrestricted("bob"))


def test_addresses_are_blocked_one_a_line(root, full):
    lines = "Ann <ANN@example.com>\n\n bob@example.com \n"
    response = root.post(BLOCK, {"addresses": lines, "reason": "they asked"}, follow=True)
    assert "Blocked: 2." in told(response)
    assert sorted(BlockedAddress.objects.values_list("address", "author", "reason")) == [
        ("ann@example.com", "ann", "they asked"),
        ("bob@example.com", "ann", "they asked"),
    ]
    assert {(event[0], event[5]) for event in events()} == {("block", "ann")}


def test_an_end_and_critical_types_are_asked_for(root, full):
    day = f"{timezone.localtime() + timedelta(days=2):%Y-%m-%d}"
    more = {"everything": "on", "expires_at_0": day, "expires_at_1": "08:00"}
    root.post(BLOCK, {"addresses": "ann@example.com", "reason": "x", **more})
    found = BlockedAddress.objects.get()
    assert found.everything
    assert f"{timezone.localtime(found.expires_at):%Y-%m-%d %H:%M}" == f"{day} 08:00"


@pytest.mark.parametrize("lines", ["ann", "ann@example.com, bob@example.com"])
def test_what_is_no_address_is_refused_and_nothing_is_blocked(root, full, lines):
    sent = {"addresses": f"good@example.com\n{lines}", "reason": "x"}
    assert "is no address" in told(root.post(BLOCK, sent, follow=True))
    assert not BlockedAddress.objects.exists()


def test_they_are_listed_and_found_by_their_beginning(root, ann_is_blocked):
    shown = text(root.get(BLOCKED))
    for word in ("ann@example.com", "she asked", "bob"):
        assert word in shown
    assert "ann@example.com" in text(root.get(BLOCKED, {"q": "ANN@"}))
    assert "No blocked address begins so" in text(root.get(BLOCKED, {"q": "bob"}))


def test_a_block_is_taken_away_by_a_word(root, ann_is_blocked):
    address = f"{UNBLOCK}?address=ann@example.com"
    assert root.post(address, {"reason": "x", "word": "yes"}).status_code == 200
    assert BlockedAddress.objects.exists()
    response = root.post(address, {"reason": "her word", "word": "unblock"}, follow=True)
    assert "Not blocked any more: ann@example.com" in told(response)
    assert events()[-1][0::6] == ("unblock", "her word")


def test_who_asks_why_ann_gets_nothing_is_told_that_she_is_blocked(root, ann_is_blocked):
    found = reverse("admin:notifyguard_delivery_changelist")
    assert "ann@example.com is blocked." in text(root.get(found, {"q": "Ann@Example.com"}))
    assert "is blocked" not in text(root.get(found, {"q": "bob@example.com"}))


def test_who_may_only_look_blocks_and_frees_nobody(page, ann_is_blocked):
    client = page("view_blockedaddress", "set_switches")
    assert "Unblock" not in text(client.get(BLOCKED))
    refusal = "ann may not do this without notifyguard.block_addresses"
    sent = {"addresses": "bob@example.com", "reason": "x"}
    assert refusal in told(client.post(BLOCK, sent, follow=True))
    sent = {"reason": "x", "word": "unblock"}
    address = f"{UNBLOCK}?address=ann@example.com"
    assert refusal in told(client.post(address, sent, follow=True))
    assert BlockedAddress.objects.get().address == "ann@example.com"


def test_strangers_see_nothing(page):
    client = page("view_delivery")
    for address in (BLOCKED, BLOCK, UNBLOCK):
        assert client.get(address).status_code == 403
