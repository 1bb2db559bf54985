"""Counting again from the ledger: exact for any number, and not all of it for each mail."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from notifyguard.conf import LimiterSettings
from notifyguard.ledger import new_id
from notifyguard.limiters import log, recount
from notifyguard.limiters.database import DatabaseLimiter
from notifyguard.models import Delivery, LimitEntry
from tests.factories import DeliveryFactory
from tests.limiting import quota, request

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = {"hour": 3600, "day": 86_400}


@pytest.fixture
def read(monkeypatch):
    """How many entries of a log each call has read."""
    found = []
    since = log.since

    def spy(*arguments):
        entries = since(*arguments)
        found.append(len(entries))
        return entries

    monkeypatch.setattr(log, "since", spy)
    return found


@pytest.fixture
def asked(full, monkeypatch):
    """Ask for room in one limit for a whole type, as while Redis is away: ``asked(20)``."""
    monkeypatch.setattr(recount, "LONG", 10)
    monkeypatch.setattr(recount, "_said", set())
    limiter = DatabaseLimiter(LimiterSettings())

    def ask(number, window="hour", **types):
        limits = {"type_limits": [f"{number}/{window}"]}
        full.NOTIFYGUARD |= {"TYPES": {"ticket.*": limits, **types}}
        one = request(quota(None, number, SECONDS[window]))
        (refusal,) = limiter.acquire([one], from_ledger=True)
        if refusal is None:
            DeliveryFactory(id=one.delivery)
        return refusal is None

    return ask


def left(count, ago=timedelta(minutes=5), **more):
    """Deliveries left by a way that was not counted in the database."""
    rows = [DeliveryFactory.build(id=new_id(), **more) for _ in range(count)]
    Delivery.objects.bulk_create(rows)
    passed(ago, pk__in=[row.pk for row in rows])


def passed(ago, **conditions):
    Delivery.objects.filter(**conditions).update(
        created_at=F("created_at") - ago, changed_at=F("changed_at") - ago
    )


def test_a_number_larger_than_what_counts_as_long_is_exact(asked):
    left(28)
    assert [asked(30) for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("others", [0, 15, 70])
def test_types_that_do_not_count_hide_none_that_do(full, asked, others):
    """A critical type never shares a limit; of these may be any number, and newer."""
    left(20, ago=timedelta(minutes=20))
    left(others, type="ticket.login")
    assert not asked(20, **{"ticket.login": {"critical": True}})


def test_a_long_window_is_read_once_and_then_what_is_new(asked, read):
    left(50)
    assert asked(100)
    LimitEntry.objects.update(at=F("at") - 60_000_000)
    passed(timedelta(minutes=1))
    assert [asked(100) for _ in range(3)] == [True] * 3
    assert read == [0, 0, 1, 2]


def test_what_leaves_meanwhile_by_another_way_counts(asked, read):
    left(15)
    assert asked(20)
    left(3, ago=timedelta(0))
    assert [asked(20) for _ in range(2)] == [True, False]


def test_what_a_long_transaction_wrote_is_found_when_the_window_is_read_again(asked, monkeypatch):
    left(15)
    assert asked(20)
    left(4)
    monkeypatch.setattr(recount, "WHOLE", 0)
    assert not asked(20)


def test_a_longer_window_is_not_taken_as_read(asked):
    """Two limits share one counter: what is beyond the shorter was never looked at."""
    left(15)
    assert asked(20)
    left(30, ago=timedelta(hours=3))
    assert not asked(40, "day")


def test_what_was_rolled_back_is_not_taken_as_read(asked, monkeypatch):
    left(15)

    def broken(*arguments):
        raise KeyError

    with monkeypatch.context() as patched:
        patched.setattr(log, "lengthen", broken)
        with pytest.raises(KeyError):
            asked(16)
    assert [asked(16) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("excess", [1, 40])
def test_an_excess_of_any_size_is_said_in_full(asked, caplog, excess):
    left(20 + excess)
    assert not asked(20)
    assert not asked(20)
    (told,) = caplog.messages
    assert f"the limit 20/3600 seconds of ticket.* was exceeded: {20 + excess} left" in told
