"""status, types: which source decides and why, and what would have gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notifyguard
from notifyguard import clock, conf, ledger
from notifyguard.decision import State
from notifyguard.ledger.entry import new_id
from notifyguard.ledger.looks import types_found
from notifyguard.models import Delivery, Sweep
from tests.factories import DeliveryFactory, SwitchFactory
from tests.mailbox import letter
from tests.operators import deed, facts, operate

pytestmark = pytest.mark.django_db(transaction=True)


def test_status_of_a_project_in_which_nothing_happened(full):
    said = operate("status")
    assert "No switch is set: all mail leaves." in said
    assert "Nothing waits" in said
    assert "Last sweep: never" in said


def test_status_says_who_set_what_and_why(full):
    deed("hold", "ticket.*", "--until", "2h")
    said = operate("status")
    for word in ("ticket.*", "hold", "database", "ann", "a test"):
        assert word in said
    (switch,) = facts("status")["switches"]
    assert (switch["author"], switch["reason"], switch["ended"]) == ("ann", "a test", False)


def test_status_says_which_source_decides_on_each_type(full, monkeypatch):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "TYPES": {"invoice.*": {"sending": "hold"}}}
    for type in ("auth.password_reset", "invoice.sent", "ticket.modified", "z.open"):
        DeliveryFactory(type=type)
    SwitchFactory(pattern="ticket.*", author="ann")
    decided = {each["type"]: each for each in facts("status")["types"]}
    assert decided["auth.password_reset"]["critical"] is True
    assert decided["invoice.sent"]["why"] == "hold by settings (TYPES)"
    assert decided["ticket.modified"]["why"].startswith("hold by database (ticket.*), set by ann")
    assert decided["z.open"]["sending"] == "open"
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "hold")
    assert {each["sending"] for each in facts("status")["types"]} == {"hold"}
    assert "environment" in operate("status")


def test_status_marks_a_switch_that_has_ended(full):
    SwitchFactory(expires_at=timezone.now() - timedelta(minutes=1))
    assert "(ended)" in operate("status")


def test_status_says_how_much_waits_and_for_how_long(full):
    for state, hours in ((State.HELD, 3), (State.HELD, 5), (State.UNCERTAIN, 1)):
        DeliveryFactory(
            state=state,
            created_at=timezone.now() - timedelta(hours=hours),
            wake_at=timezone.now() + timedelta(days=9),
        )
    waiting = {each["state"]: each["deliveries"] for each in facts("status")["waiting"]}
    assert waiting == {"held": 2, "uncertain": 1}
    assert "5 h" in operate("status")


def test_status_says_which_release_rests_and_why(mailbox):
    deed("hold", "ticket.*")
    for to in ("ann@example.com", "bob@example.com"):
        letter(to).send()
    deed("resume", "ticket.*")
    deed("release", "ticket.*", "--canary", "1", "--yes")
    (release,) = facts("status")["releases"]
    assert (release["state"], release["let_go"], release["meant"]) == ("canary", 1, 2)
    assert "manage.py notifyguard releases" in operate("status")
    deed("release", "--continue", str(release["release"]), "--yes")
    assert facts("status")["releases"] == []
    assert "notifyguard releases" not in operate("status")


@pytest.mark.parametrize(
    ("swept", "due_for", "missing"),
    [(None, 1, True), (6, 1, True), (4, 1, False), (6, None, False), (6, -60, False)],
)
def test_status_warns_when_rows_are_due_and_nobody_sweeps(full, swept, due_for, missing):
    now = timezone.now()
    if swept:
        at = now - timedelta(minutes=swept)
        Sweep.objects.create(ran_at=at, examined_until=at)
    if due_for:
        DeliveryFactory(state=State.QUEUED, wake_at=now - timedelta(seconds=due_for))
    assert ("no sweeper has run for 5 minutes" in operate("status")) is missing
    assert facts("status")["sweeper_is_missing"] is missing


def test_status_since_is_the_report_of_a_rehearsal(mailbox):
    DeliveryFactory(created_at=timezone.now() - timedelta(hours=3), state=State.DISCARDED)
    with notifyguard.suppressed("ticket.*", reason="rehearsal"):
        for _ in range(2):
            letter("ann@example.com").send()
        letter("bob@example.com", "carol@example.com").send()
        letter(type="invoice.sent").send()
    said = operate("status", "--since", "2h")
    assert "4 deliveries to 3 people would have gone" in said
    told = facts("status", "--since", "2h")
    counted = [
        (each["type"], each["state"], each["rule"], each["deliveries"], each["people"])
        for each in told["counts"]
    ]
    assert counted == [
        ("invoice.sent", "sent", "", 1, 1),
        ("ticket.modified", "discarded", "suppressed", 4, 3),
    ]
    assert told["people_kept_back"] == 3


def test_status_since_a_time_to_come_is_refused(full):
    with pytest.raises(CommandError, match="yet to come"):
        operate("status", "--since", "2999-01-01")
    assert "No delivery since" in operate("status", "--since", "1h")


def test_types_are_found_with_how_many_and_when(full):
    DeliveryFactory(type="auth.password_reset")
    for hours in (9, 2):  # the newest is the last of its type in the index
        at = timezone.now() - timedelta(hours=hours)
        DeliveryFactory(id=ledger.new_id(), type="ticket.modified", created_at=at)
    said = operate("types")
    assert "critical" in said
    assert "2 h" in said
    assert "9 h" not in said
    assert [(each["type"], each["deliveries"]) for each in facts("types")] == [
        ("auth.password_reset", 1),
        ("ticket.modified", 2),
    ]


def test_types_print_settings_that_can_be_pasted(full):
    full.NOTIFYGUARD = {
        "IN_TESTS": "full",
        "TYPES": {"ticket.modified": {"sending": "hold", "in_transaction": "defer"}},
    }
    for type in ("ticket.modified", "auth.password_reset", "it's.odd"):
        DeliveryFactory(type=type)
    pasted: dict[str, object] = {}
    exec(operate("types").partition("changes nothing:")[2], pasted)
    assert pasted["NOTIFYGUARD"] == {
        "TYPES": {
            "auth.password_reset": {"critical": True},
            "it's.odd": {},
            "ticket.modified": {"sending": "hold", "in_transaction": "defer"},
        }
    }
    assert conf.read(pasted["NOTIFYGUARD"]).problems == ()


def test_types_count_no_further_than_they_must(full, monkeypatch):
    monkeypatch.setattr(types_found, "COUNTED", 2)
    for _ in range(4):
        DeliveryFactory(type="ticket.modified")
    assert "more than 2" in operate("types")
    assert [each.count for each in types_found.found()] == [3]


def test_types_cost_one_jump_for_each_and_scan_no_table(full):
    for type in ("a", "b", "c"):
        for _ in range(3):
            DeliveryFactory(type=type)
    with CaptureQueriesContext(connection) as queries:
        assert list(types_found.names()) == ["a", "b", "c"]
    assert len(queries) == 1


@pytest.mark.parametrize("count", [0, 1, 2500])  # MariaDB lets nothing recur more than 1,000 times
def test_any_number_of_types_is_found_with_its_newest_delivery(full, count):
    now = timezone.now()
    names = sorted(f"app{number}.changed" for number in range(count))
    Delivery.objects.bulk_create(
        DeliveryFactory.build(id=new_id(), type=name, created_at=now - timedelta(hours=age))
        for age in (2, 1)
        for name in names
    )
    with CaptureQueriesContext(connection) as queries:
        seen = types_found.last_seen()
    assert sorted(seen) == names
    assert {clock.now(connection) - at > timedelta(hours=1.5) for at in seen.values()} <= {False}
    assert len(queries) <= 10


def test_types_say_when_none_was_found(full):
    assert "nothing has been sent" in operate("types")
    assert facts("types") == []
