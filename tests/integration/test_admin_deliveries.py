"""Did Ann get it, and why not: the same words as the command's, found by an index."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notifyguard import switchboard
from notifyguard.decision import State
from notifyguard.ledger import new_id
from notifyguard.ledger.entry import first_id_at
from notifyguard.ledger.looks import lookup
from notifyguard.models import Delivery, Event
from tests.factories import ClaimFactory, DeliveryFactory
from tests.operators import operate

pytestmark = pytest.mark.django_db(transaction=True)

DELIVERIES = reverse("admin:notifyguard_delivery_changelist")
EVENTS = reverse("admin:notifyguard_event_changelist")


def sent(recipient="ann@example.com", ago=timedelta(), **more):
    """A delivery whose id tells its time, as those of the ledger do."""
    at = timezone.now() - ago
    row_id = UUID(int=first_id_at(at).int | (new_id().int & (1 << 62) - 1))
    return DeliveryFactory(id=row_id, recipient=recipient, created_at=at, changed_at=at, **more)


def held(recipient, **more):
    return sent(recipient, state=State.HELD, wake_at=timezone.now() + timedelta(days=9), **more)


def shown(response):
    return [row.recipient for row, _ in response.context["told"]]


def address_of(row):
    return reverse("admin:notifyguard_delivery_change", args=[row.id])


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ann@example.com", ["ann@example.com"]),
        ("Ann <ANN@Example.com>", ["ann@example.com"]),
        ("ann", ["anna@example.com", "ann@example.com"]),
        ("ANN", ["anna@example.com", "ann@example.com"]),
        ("ticket.modified", ["ann@example.com"]),
        ("ticket.", ["anna@example.com", "ann@example.com"]),
        ("", ["bob@example.com", "anna@example.com", "ann@example.com"]),
        ("nobody", []),
        ("an%", []),
        ("%", []),
        ("_nn", []),
    ],
)
def test_what_is_looked_for_is_found_the_newest_first(root, full, term, found):
    sent("ann@example.com", type="ticket.modified", ago=timedelta(hours=3))
    sent("anna@example.com", type="ticket.closed", ago=timedelta(hours=2))
    sent("bob@example.com", type="invoice.sent", ago=timedelta(hours=1))
    assert shown(root.get(DELIVERIES, {"q": term})) == found


def test_a_delivery_is_found_by_its_ids(root, full):
    row = sent()
    sent("bob@example.com")
    key = ClaimFactory(delivery=row.id).key
    for wanted in (row.id, row.dispatch, key):
        assert shown(root.get(DELIVERIES, {"q": str(wanted)})) == ["ann@example.com"]


def test_state_and_time_narrow_it_down(root, full):
    sent("old@example.com", ago=timedelta(days=5))
    sent("new@example.com")
    held("held@example.com")
    assert shown(root.get(DELIVERIES, {"state": "held"})) == ["held@example.com"]
    assert shown(root.get(DELIVERIES, {"state": "failed"})) == []
    assert shown(root.get(DELIVERIES, {"state": "?", "since": "x", "until": "x"})) != []
    day = f"{timezone.localtime() - timedelta(days=5):%Y-%m-%d}"
    assert shown(root.get(DELIVERIES, {"until": day, "since": day})) == ["old@example.com"]
    later = f"{timezone.localtime() - timedelta(days=4):%Y-%m-%d}"
    assert shown(root.get(DELIVERIES, {"since": later, "state": "sent"})) == ["new@example.com"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"since": "0001-01-01"}, True),
        ({"since": "0202-05-01"}, True),  # as a browser sends what is being typed
        ({"since": "9999-12-31"}, False),
        ({"until": "0001-01-01"}, False),
        ({"until": "1960-01-01"}, False),
        ({"until": "9999-12-31"}, True),
    ],
)
def test_a_day_that_no_clock_shows_is_taken_for_what_it_means(root, full, asked, found):
    sent()
    assert shown(root.get(DELIVERIES, asked)) == ["ann@example.com"] * found


def test_further_back_is_a_link_and_nothing_comes_twice(root, full, monkeypatch):
    monkeypatch.setattr(lookup, "FOUND", 2)
    for number in range(5):
        sent(f"ann{number}@example.com", ago=timedelta(minutes=5 - number))
    seen, query = [], "q=ann"
    while query:
        response = root.get(f"{DELIVERIES}?{query}")
        seen += shown(response)
        query = response.context["further"]
    assert seen == [f"ann{number}@example.com" for number in (4, 3, 2, 1, 0)]


def test_a_search_ends_after_so_many_rows_and_says_from_where_to_go_on(root, full, monkeypatch):
    monkeypatch.setattr(lookup, "LOOKED_AT", 2)
    sent("failed@example.com", state=State.FAILED, ago=timedelta(hours=1))
    for _ in range(3):
        sent()
    response = root.get(DELIVERIES, {"state": "failed"})
    assert shown(response) == []
    assert "2 deliveries were looked at" in response.content.decode()
    response = root.get(f"{DELIVERIES}?{response.context['further']}")
    assert shown(response) == ["failed@example.com"]


def test_rows_are_read_in_pages_without_gaps(full, monkeypatch):
    monkeypatch.setattr(lookup, "FIRST_PAGE", 1)
    monkeypatch.setattr(lookup, "PAGE", 2)
    for number in range(5):
        sent("ann@example.com", ago=timedelta(minutes=number))
    assert len(lookup.look_up(lookup.Wanted("ann@example.com")).deliveries) == 5


def test_the_story_is_that_of_the_command(root, full):
    sent(state=State.DISCARDED, rule="suppressed", reason="a backfill")
    (told,) = [story for _, story in root.get(DELIVERIES, {"q": "ann"}).context["told"]]
    assert told in " ".join(operate("why", "ann@example.com").split())


def test_an_address_that_nobody_has_gets_a_suggestion(root, full):
    sent("ann@example.com")
    response = root.get(DELIVERIES, {"q": "anm@example.com"})
    assert "Did you mean" in response.content.decode()
    assert response.context["similar"] == ["ann@example.com"]


def test_no_query_counts_or_asks_what_no_index_knows(root, full):
    for _ in range(3):
        sent()
    wheres = ("", "ann@example.com", "ann", "ticket.modified")
    with CaptureQueriesContext(connection) as queries:
        for term in wheres:
            root.get(DELIVERIES, {"q": term, "state": "failed"})
    asked = [each["sql"] for each in queries if "notifyguard_delivery" in each["sql"]]
    assert asked
    # What waits has an index, and may be counted and told by its state.
    asked = [sql for sql in asked if "wake_at" not in sql.partition("WHERE")[2]]
    assert [sql for sql in asked if "COUNT(" in sql] == []
    assert [sql for sql in asked if "state" in sql.partition("WHERE")[2]] == []


def test_a_delivery_tells_its_story_and_what_was_done_to_it(root, full):
    row = sent(state=State.UNCERTAIN, message_id="<1@x>", subject="Hello")
    other = sent("bob@example.com", dispatch=row.dispatch)
    switchboard.record_event("resolve", str(row.id), actor="bob", reason="asked them")
    shown = root.get(address_of(row)).content.decode()
    assert "Nobody knows whether it left" in shown
    assert address_of(other) in shown
    assert "asked them" in shown


def test_duplicates_of_a_key_are_told(root, full):
    row = sent()
    claim = ClaimFactory(delivery=row.id, duplicates=3)
    Delivery.objects.filter(id=row.id).update(key=claim.key)
    assert "3 duplicates were not sent" in root.get(address_of(row)).content.decode()


def test_a_delivery_that_is_not_there_is_not_found(root, full):
    assert root.get(f"{DELIVERIES}{new_id()}/").status_code == 404


@pytest.mark.parametrize("name", ["delivery", "event", "heldmessage"])
def test_what_is_on_record_cannot_be_changed_even_by_root(root, full, name):
    row = held("ann@example.com")
    Event.objects.create(at=timezone.now(), actor="ann", action="x", subject="y")
    pages = reverse(f"admin:notifyguard_{name}_changelist")
    assert root.get(pages).status_code == 200
    for address in (f"{pages}add/", f"{pages}1/delete/", f"{DELIVERIES}{row.id}/delete/"):
        assert root.post(address, {"post": "yes"}).status_code == 404
    assert Delivery.objects.count() == Event.objects.count() == 1


def test_strangers_see_nothing(page):
    client = page("view_switch")
    row = sent()
    for address in (DELIVERIES, EVENTS, address_of(row)):
        assert client.get(address).status_code == 403


# Events


def did(action, actor, subject="ticket.*"):
    switchboard.record_event(action, subject, actor=actor, reason="x")


def test_events_are_shown_by_action_actor_and_subject(root, full):
    did("switch", "ann")
    did("release", "bob")
    did("switch", "bob", "invoice.*")
    for query, count in (
        ({}, 3),
        ({"action": "switch"}, 2),
        ({"actor": "bob"}, 2),
        ({"actor": "bob", "action": "switch"}, 1),
        ({"subject": "ticket.*"}, 2),
    ):
        response = root.get(EVENTS, query)
        assert len(response.context["events"]) == count
    assert response.context["actions"] == ["release", "switch"]
    assert response.context["actors"] == ["ann", "bob"]


def test_older_events_are_a_link_away(root, full, monkeypatch):
    monkeypatch.setattr("notifyguard.ledger.looks.events.PAGE", 2)
    for number in range(3):
        did("switch", "ann", str(number))
    monkeypatch.setattr("notifyguard.ledger.looks.events.look_up.__defaults__", (None, 2))
    response = root.get(EVENTS)
    response = root.get(EVENTS, {"behind": response.context["further"]})
    assert [event.subject for event in response.context["events"]] == ["0"]


@pytest.mark.parametrize("behind", ["x", "-1", "9" * 30, ""])
def test_a_slip_in_the_address_is_no_error(root, full, behind):
    did("switch", "ann")
    assert root.get(EVENTS, {"behind": behind}).status_code == 200
    assert root.get(DELIVERIES, {"behind": behind}).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["delivery_changelist", "delivery_uncertain", "event_changelist", "blockedaddress_changelist"],
)
def test_what_no_database_can_hold_is_no_error(root, full, name):
    address = reverse(f"admin:notifyguard_{name}")
    asked = "&".join(f"{each}=a%00" for each in ("q", "instance", "type", "subject", "actor"))
    assert root.get(f"{address}?{asked}").status_code == 200
