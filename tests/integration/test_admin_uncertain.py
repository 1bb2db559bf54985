"""The page of what may or may not have left: what to look for, and writing down what was found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from notifyguard import ledger
from notifyguard.admin import uncertain as pages_of_uncertain
from notifyguard.decision import State
from notifyguard.models import Delivery
from tests.factories import DeliveryFactory
from tests.mailbox import states
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = reverse("admin:notifyguard_delivery_uncertain")
WHY = {"reason": "Ann has it"}


def lost(**more):
    later = timezone.now() + timedelta(days=9)
    return DeliveryFactory(state=State.UNCERTAIN, wake_at=later, **more)


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def test_each_says_what_to_look_for(root, full):
    lost(message_id="<17@example.com>", recipient="ann@example.com")
    lost(message_id="")
    shown = root.get(PAGE).content.decode()
    assert "Look for <code>&lt;17@example.com&gt;</code>" in shown
    assert "no Message-ID to look for" in shown


@pytest.mark.parametrize(
    ("finding", "state"), [("SENT", "sent"), ("NOT_SENT", "failed"), ("GIVE_UP", "expired")]
)
def test_what_is_ticked_is_resolved(root, full, finding, state):
    ticked = [lost() for _ in range(2)]
    lost()
    response = root.post(
        PAGE, {"id": [row.id for row in ticked], "finding": finding, **WHY}, follow=True
    )
    assert "2 resolved" in told(response)
    assert sorted(states()) == sorted([state, state, "uncertain"])
    assert [event[:4] for event in events()] == [
        ("resolve", str(each), "uncertain", state) for each in sorted(row.id for row in ticked)
    ]


def test_all_that_are_meant_are_resolved_when_their_number_is_typed(root, full):
    for name in ("ticket.modified", "ticket.modified", "invoice.sent"):
        lost(type=name)
    address = f"{PAGE}?type=ticket.*"
    wrong = root.post(address, {"count": "3", "finding": "SENT", **WHY})
    assert "It is 2 that are meant now" in wrong.content.decode()
    root.post(address, {"count": "2", "finding": "SENT", **WHY})
    assert states() == ["sent", "sent", "uncertain"]
    assert events() == [("resolve", "ticket.*", "uncertain", "sent", 2, "ann", "Ann has it")]


def test_of_many_the_oldest_are_shown_and_all_can_be_resolved(root, full, monkeypatch):
    monkeypatch.setattr(pages_of_uncertain, "SHOWN", 2)
    # Ids as the ledger makes them, which begin with the time: MariaDB sorts others its own way.
    oldest = [lost(id=ledger.new_id()).id for _ in range(5)][:2]
    response = root.get(PAGE)
    assert "5 uncertain, the oldest 2" in response.content.decode()
    assert [each.id for each in response.context["found"]] == oldest
    root.post(PAGE, {"count": "5", "finding": "SENT", **WHY})
    assert states() == ["sent"] * 5


@pytest.mark.parametrize(
    "lacking", [{"reason": " "}, {"finding": ""}, {"finding": "PERHAPS"}, {"id": []}]
)
def test_nothing_is_resolved_by_half(root, full, lacking):
    row = lost()
    sent = {"id": [row.id], "finding": "SENT", **WHY} | lacking
    assert root.post(PAGE, sent).status_code == 200
    assert states() == ["uncertain"]


def test_it_is_narrowed_down_by_type_and_instance(root, full):
    lost(instance="web-1/x/1", type="ticket.modified")
    lost(instance="web-2/x/1", type="invoice.sent")
    for query, count in (("type=ticket.*", 1), ("instance=web-2", 1), ("type=?", 2), ("", 2)):
        assert root.get(f"{PAGE}?{query}").context["count"] == count


def test_who_may_only_look_resolves_nothing(page):
    client = page("view_delivery", "set_switches")
    row = lost()
    assert 'type="checkbox"' not in client.get(PAGE).content.decode()
    sent = {"id": [row.id], "finding": "SENT", **WHY}
    said = told(client.post(PAGE, sent, follow=True))
    assert "ann may not do this without notifyguard.resolve_uncertain" in said
    assert Delivery.objects.get().state == "uncertain"


def test_what_somebody_else_resolved_meanwhile_is_left_alone(root, full):
    row = DeliveryFactory(state=State.SENT)
    root.post(PAGE, {"id": [row.id], "finding": "NOT_SENT", **WHY})
    assert states() == ["sent"]
