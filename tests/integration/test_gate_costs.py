"""What a message costs: statements and commits, counted on the connection."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from notifyguard.models import Claim
from tests.mailbox import batch, doorbell, letter, states, use_server, watched_traffic

pytestmark = pytest.mark.django_db(transaction=True)


def on(**by_vendor: int) -> int:
    """The number for the database of this run; MariaDB and SQLite as ``others``."""
    return by_vendor.get(connection.vendor, by_vendor["others"])


@pytest.fixture(autouse=True)
def warm(mailbox):
    """What a process does once (the switches, the clock, the connection) is done."""
    letter().send()


def test_a_single_message_costs_two_commits():
    with watched_traffic() as traffic:
        letter().send()
    assert traffic.commits == 2
    # Elsewhere: lock (SQLite in two), insert and confirm.
    assert len(traffic.statements) == on(postgresql=2, mysql=3, others=4), traffic.statements


def test_a_key_adds_a_look_before_connecting_and_no_commit():
    with watched_traffic() as traffic:
        letter(key="1").send()
    assert traffic.commits == 2
    # Elsewhere the claim is an insert and a read.
    assert len(traffic.statements) == on(postgresql=3, mysql=6, others=7), traffic.statements


def test_a_duplicate_costs_one_look_and_opens_no_connection(settings):
    letter("ann@example.com", key="1", subject="one").send()
    with doorbell() as door:
        use_server(settings, door.port, timeout=2)
        with watched_traffic() as traffic:
            assert letter("ann@example.com", key="1", subject="one").send() == 0
        assert not door.rung
    # Elsewhere: the claim, its holder's state, and the count.
    assert len(traffic.statements) == on(postgresql=1, others=3), traffic.statements
    assert states() == ["sent", "sent"]  # the first is the fixture's


@pytest.mark.parametrize("count", [2, 10])
def test_a_batch_costs_one_commit_a_message_and_two_for_the_whole(count):
    messages = [letter() for _ in range(count)]
    with watched_traffic() as traffic:
        assert batch(*messages) == count
    assert traffic.commits == count + 2
    # PostgreSQL: the claim, then confirm and mark in one; the last confirm.
    # Elsewhere a transaction locks by one statement more, twice for SQLite.
    first = on(postgresql=2, mysql=2 + 2, others=3 + 3)
    following = on(postgresql=1, mysql=3, others=4)
    expected = first + following * (count - 1) + 1
    assert len(traffic.statements) == expected, traffic.statements


def test_the_claims_of_a_keyed_batch_are_one_look_and_one_commit():
    count = 10
    messages = [letter(key=number) for number in range(count)]
    with watched_traffic() as traffic:
        assert batch(*messages) == count
    assert traffic.commits == count + 2
    looks_and_claims = [sql for sql in traffic.statements if "notifyguard_claim" in sql]
    # Elsewhere: the look, the insert, and the read of who holds what.
    assert len(looks_and_claims) == on(postgresql=2, others=3), looks_and_claims


def test_the_duplicates_of_a_message_are_counted_in_one_commit():
    people = [f"person{number}@example.com" for number in range(10)]
    letter(*people, key="1", subject="one").send()
    with watched_traffic() as traffic:
        assert letter(*people, key="1", subject="one").send() == 0
    assert traffic.commits == on(mysql=10, others=1)
    assert set(Claim.objects.values_list("duplicates", flat=True)) == {1}


def test_a_deferred_message_writes_two_rows_in_the_callers_transaction():
    with watched_traffic() as traffic, transaction.atomic():
        letter(key="1").send()
        inside = list(traffic.statements)
    # Elsewhere the generation is read over a connection beside, which is not counted.
    assert ["INSERT" in sql for sql in inside] == [False] * on(postgresql=1, others=0) + [True] * 2
    assert traffic.commits == 3  # the caller's; claim and mark; confirm
    after = traffic.statements[len(inside) :]
    # The generation, claim and mark, confirm, and what was kept is deleted in two.
    assert len(after) == on(postgresql=5, mysql=9, others=10), after
    assert states(type="ticket.modified")[-1] == "sent"


def test_an_unkeyed_message_adds_no_commit_to_the_callers_transaction():
    with watched_traffic() as traffic, transaction.atomic():
        letter().send()
    assert traffic.commits == 1
    # The row and its outcome; on PostgreSQL the generation too, before and after connecting.
    assert len(traffic.statements) == on(postgresql=4, others=2), traffic.statements
