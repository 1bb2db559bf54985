"""why: did Ann get it, and why not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notifyguard
from notifyguard import ledger, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.ledger.looks import search
from tests.factories import DeliveryFactory
from tests.mailbox import letter, rows
from tests.operators import facts, operate

pytestmark = pytest.mark.django_db(transaction=True)


def stories(*words):
    return [each["story"] for each in facts("why", *words)]


def delivery(hours=0, **more):
    at = timezone.now() - timedelta(hours=hours)
    return DeliveryFactory(id=ledger.new_id(), created_at=at, **more)


def test_what_happened_to_real_mail_is_told_newest_first(mailbox):
    for _ in range(3):
        letter("ann@example.com", key="1", subject="Keyed").send()
    with notifyguard.suppressed(reason="backfill"):
        letter("ann@example.com").send()
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="flood", actor=unrestricted("bob"))
    letter("ann@example.com", "carol@example.com", subject="Kept").send()
    held, suppressed, sent = stories("ann@example.com")
    assert held.endswith("by a switch: hold by database (ticket.*), set by bob: flood.")
    assert suppressed.endswith("the code that sent it was to notify nobody. Reason: backfill.")
    assert sent.endswith(
        "accepted it. It was asked for 2 times more with the same key; that was not sent."
    )
    said = operate("why", "ann@example.com")
    assert said.index("ticket.modified: Kept") < said.index("ticket.modified: Keyed")
    for row in rows(recipient="ann@example.com"):
        assert str(row.id) in said
    assert "carol" not in said


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("ann@example.com", "ANN@Example.COM"),
        ("ann@example.com", "Ann Lee <ann@example.com>"),
        ("ann@example.com", " ann@example.com "),
        ("ann@xn--bcher-kva.example", "ann@Bücher.example"),
    ],
)
def test_an_address_is_found_however_it_is_written(full, kept, asked):
    delivery(recipient=kept)
    assert len(facts("why", asked)) == 1


def test_another_address_is_another_person_whatever_the_database_thinks(full):
    delivery(recipient="änn@example.com")
    delivery(recipient="ann@example.com.org")
    assert facts("why", "ann@example.com") == []


def test_it_is_narrowed_down_by_type_time_and_number(full):
    for hours, type in ((9, "ticket.a"), (3, "invoice.a"), (1, "ticket.b")):
        delivery(hours, recipient="ann@example.com", type=type)

    def types(*words):
        return [each["type"] for each in facts("why", "ann@example.com", *words)]

    assert types() == ["ticket.b", "invoice.a", "ticket.a"]
    assert types("--type", "ticket.*") == ["ticket.b", "ticket.a"]
    assert types("--since", "4h") == ["ticket.b", "invoice.a"]
    assert types("--limit", "1") == ["ticket.b"]
    assert "newest 1; --limit shows more" in operate("why", "ann@example.com", "--limit", "1")
    assert "shows more" not in operate("why", "ann@example.com", "--limit", "3")


def test_rows_are_read_in_pages_until_they_are_too_old(full, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    for hours in (90, 80, 70, 60, 2, 1, 0):
        delivery(hours, recipient="ann@example.com")
    assert len(facts("why", "ann@example.com")) == 7
    with CaptureQueriesContext(connection) as queries:
        since = timezone.now() - timedelta(hours=4)
        assert len(list(search.deliveries_to("ann@example.com", since=since))) == 3
    assert len(queries) == 2


def test_nothing_says_what_that_means(full):
    said = operate("why", "ann@example.com")
    assert "knows of no delivery to ann@example.com" in said
    assert "in the last 90 days" in said
    assert "Did you mean" not in said
    assert facts("why", "ann@example.com") == []


@pytest.mark.parametrize(
    "asked", ["ann@exmaple.com", "anm@example.com", "an@example.com", "amn@example.com"]
)
def test_a_slip_in_the_address_is_pointed_out(full, asked):
    delivery(recipient="ann@example.com")
    delivery(recipient="zoe@elsewhere.org")
    assert "Did you mean ann@example.com?" in operate("why", asked)


def test_filters_that_leave_nothing_are_not_taken_for_no_mail(full):
    delivery(recipient="ann@example.com")
    assert "leave them out" in operate("why", "ann@example.com", "--type", "invoice.*")


@pytest.mark.needs("postgresql")
def test_an_address_is_found_by_its_index(full):
    with CaptureQueriesContext(connection) as queries:
        operate("why", "ann@example.com")
    asked = [query["sql"] for query in queries if '"recipient" = ' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {asked[0]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "notifyguard_recipient" in plan, plan
