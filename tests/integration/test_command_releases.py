"""release, releases: look first, a few first, and go on where it was."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from notifyguard import clock, ledger, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.ledger.held import letting_go, pace, releases
from notifyguard.management.subcommands import working_off
from notifyguard.models import Delivery, Event, Release
from tests.factories import DeliveryFactory
from tests.mailbox import letter, states, use_server
from tests.operators import deed, facts, operate

pytestmark = pytest.mark.django_db(transaction=True)

ANN = unrestricted("ann")


@pytest.fixture
def five_held(mailbox):
    switchboard.set_switch("*", Sending.HOLD, reason="a test", actor=ANN)
    for name in "abcde":
        letter(f"{name}@example.com", subject=f"For {name}").send()
    switchboard.clear_switch("*", reason="a test", actor=ANN)
    Event.objects.all().delete()
    return mailbox


def newest():
    return Release.objects.latest("id")


def deed_facts(*words):
    return facts(*words, "--reason", "a test", "--actor", "ann")


# Preview


def test_a_preview_shows_what_would_be_done_and_does_nothing(five_held, settings):
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["a@example.com"]}
    said = operate("release", "--preview")
    assert "5 deliveries to 5 people, " in said
    assert "the oldest was sent " in said
    assert "4 deliveries, allow_recipients: held again" in said
    assert states() == ["held"] * 5
    assert not Event.objects.exists()
    assert not Release.objects.exists()


def test_a_preview_is_for_scripts_too(five_held, settings):
    types = {"ticket.*": {"type_limits": ["2/hour"], "limits": ["1/day"]}}
    settings.NOTIFYGUARD |= {"TYPES": types}
    Delivery.objects.filter(recipient="b@example.com").update(recipient="a@example.com")
    seen = facts("release", "--preview", "--limit", "4")
    assert (seen["deliveries"], seen["messages"], seen["people"]) == (4, 4, 3)
    assert seen["bytes"] > 1_000
    assert [(each["type"], each["rule"], each["deliveries"]) for each in seen["groups"]] == [
        ("ticket.modified", "switch", 4)
    ]
    assert seen["findings"] == [
        {"name": "limit", "deliveries": 2, "outcome": "ticket.modified, at once: held again"}
    ]


def test_what_has_grown_stale_is_said_before_it_is_released(five_held, settings):
    settings.NOTIFYGUARD |= {
        "TYPES": {"ticket.*": {"max_age": timedelta(days=30), "on_stale": "expire"}}
    }
    Delivery.objects.filter(recipient__lt="c").update(due_at=clock.stored(LONG_AGO))
    found = facts("release", "--preview")["findings"]
    assert found == [{"name": "stale", "deliveries": 2, "outcome": "expired"}]


def test_what_is_to_leave_later_is_said(five_held):
    Delivery.objects.filter(recipient="c@example.com").update(due_at=clock.never())
    found = facts("release", "--preview")["findings"]
    assert found == [{"name": "scheduled", "deliveries": 1, "outcome": "sent when it is due"}]


def test_so_is_what_is_dropped(five_held):
    assert "5 deliveries to 5 people" in operate("discard-held", "--preview")
    assert facts("discard-held", "--preview")["deliveries"] == 5
    assert states() == ["held"] * 5


# Canary


def test_the_canary_leaves_and_is_shown_and_the_rest_waits(five_held):
    said = deed("release", "--canary", "2", "--yes")
    number = newest().pk
    assert len(five_held.accepted()) == 2
    assert "sent   ticket.modified  a@example.com" in said
    assert "2 sent" in said
    assert "3 deliveries wait" in said
    assert f"manage.py notifyguard release --continue {number} --reason" in said
    assert "canary" in operate("releases")
    assert "5 sent" in deed("release", "--continue", str(number))
    assert len(five_held.accepted()) == 5


def test_a_canary_that_fails_says_so_loudly(five_held, settings):
    use_server(settings, 1, timeout=2)
    written = StringIO()
    with pytest.raises(CommandError, match="THE CANARY FAILED: 2 of the canary's 2") as told:
        call_command(
            *("notifyguard", "release", "--canary", "2", "--yes", "--reason", "a test"),
            stdout=written,
        )
    assert told.value.returncode == 1
    assert states() == ["held", "held", "held", "queued", "queued"]
    assert "2 tried again by a sweeper: the mail server is away or busy" in written.getvalue()


def test_why_it_failed_is_shown(five_held, settings):
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["a@example.com"]}
    written = []
    with pytest.raises(CommandError, match="1 of the canary's 2"):
        written.append(deed_facts("release", "--canary", "2", "--yes"))
    number = newest().pk
    told = releases.let_go(releases.find(number))
    assert [(row.state, row.rule) for row in told] == [
        ("sent", "released"),
        ("held", "allow_recipients"),
    ]


def test_a_stopped_release_leaves_the_rest_held(five_held):
    deed("release", "--canary", "2", "--yes")
    number = str(newest().pk)
    assert f"Release {number} is stopped" in deed("release", "--stop", number)
    with pytest.raises(CommandError, match=f"Release {number} is stopped"):
        deed("release", "--continue", number)
    assert states() == ["held"] * 3 + ["sent"] * 2


def test_scripts_are_told_how_it_went(five_held):
    told = deed_facts("release", "--canary", "2", "--yes")
    assert (told["state"], told["meant"], told["let_go"], told["left"]) == ("canary", 5, 2, 0)
    assert told["outcomes"] == [{"state": "sent", "rule": "released", "deliveries": 2}]
    (listed,) = facts("releases")
    assert listed == told


# Interrupted, and gone on with


@pytest.fixture
def told_to_end(five_held, monkeypatch):
    """Told to end when the first message has left."""
    monkeypatch.setattr(pace, "PORTION", 2)
    breathed = working_off.Work._breathe

    def breathe(work):
        if five_held.accepted():
            os.kill(os.getpid(), signal.SIGINT)
        breathed(work)

    monkeypatch.setattr(working_off.Work, "_breathe", breathe)


def test_ctrl_c_pauses_it_and_says_how_to_go_on(five_held, told_to_end):
    with pytest.raises(CommandError, match="paused: 3 deliveries stay held") as told:
        deed("release", "--yes")
    assert told.value.returncode == 130
    release = newest()
    assert (release.state, release.note) == ("paused", "By ann: interrupted by Ctrl-C or SIGTERM")
    assert states() == ["held", "held", "held", "queued", "sent"]


def test_it_goes_on_where_it_was(five_held, told_to_end, monkeypatch):
    with pytest.raises(CommandError):
        deed("release", "--yes")
    monkeypatch.undo()
    assert "5 sent" in deed("release", "--continue", str(newest().pk))
    assert sorted(five_held.recipients()) == [f"{name}@example.com" for name in "abcde"]


def test_a_release_whose_process_died_is_shown_and_continued(five_held):
    what_a_dead_process_left()
    assert "interrupted" in operate("releases")
    assert f"--continue {newest().pk}" in operate("releases")
    assert "5 sent" in deed("release", "--continue", str(newest().pk))


def what_a_dead_process_left():
    operate("release", "--later", "--yes", "--reason", "x")
    Release.objects.update(by_sweepers=False)
    letting_go.advance(newest().pk)
    Release.objects.update(worked_at=LONG_AGO)


def test_or_left_to_sweepers(five_held):
    what_a_dead_process_left()
    assert "a sweeper works it off" in deed("release", "--later", "--continue", str(newest().pk))
    operate("sweep")
    assert len(five_held.accepted()) == 5
    assert newest().state == "done"


def test_a_switch_in_the_middle_pauses_it_by_name(five_held, monkeypatch):
    monkeypatch.setattr(pace, "PORTION", 2)
    breathed = working_off.Work._breathe

    def breathe(work):
        if not Event.objects.filter(action="switch").exists():
            switchboard.set_switch("*", Sending.HOLD, reason="wrong", actor=ANN)
        breathed(work)

    monkeypatch.setattr(working_off.Work, "_breathe", breathe)
    with pytest.raises(CommandError, match=r"is paused: ticket\.modified is stopped: hold") as told:
        deed("release", "--yes")
    assert told.value.returncode == 1
    assert five_held.accepted() == []


def test_stopped_by_somebody_else_it_says_so_and_what_stays_held(five_held, monkeypatch):
    monkeypatch.setattr(pace, "PORTION", 2)
    breathed = working_off.Work._breathe

    def breathe(work):
        if work.let_go and not Event.objects.filter(action="stop_release").exists():
            releases.stop(work.number, reason="wrong list", actor=unrestricted("bob"))
        breathed(work)

    monkeypatch.setattr(working_off.Work, "_breathe", breathe)
    said = r"was stopped: 3 deliveries stay held\. By bob: wrong list"
    with pytest.raises(CommandError, match=said) as told:
        deed("release", "--yes")
    assert told.value.returncode == 1
    assert states() == ["held"] * 3 + ["sent"] * 2


def test_at_a_rate_it_takes_its_time(five_held):
    """Four at once, a second's worth, and the fifth a second later."""
    assert "5 sent" in deed("release", "--rate", "240", "--yes")
    times = [envelope["at"] for envelope in five_held.accepted()]
    assert times[4] - times[0] > 0.5


# What is held, by what


def test_held_by_age_size_and_people(five_held):
    old = DeliveryFactory(
        id=ledger.new_id(), state=State.HELD, rule="conflict", wake_at=clock.never(),
        created_at=LONG_AGO, recipient="old@other.org",
    )  # fmt: skip
    by = {
        name: [(each["part"], each["deliveries"]) for each in facts("held", "--by", name)]
        for name in ("age", "size", "person", "domain", "type", "rule")
    }
    assert by["age"] == [("under 1 hour", 5), ("over 30 days", 1)]
    assert by["size"] == [("under 10 kB", 5), ("without a message", 1)]
    assert by["domain"] == [("example.com", 5), ("other.org", 1)]
    assert (old.recipient, 1) in by["person"]
    assert by["rule"] == [("switch", 5), ("conflict", 1)]
    assert by["type"] == [("ticket.modified", 6)]
    assert facts("held", "--by", "rule", "--to", "other.org")[0]["people"] == 1
    assert "example.com" in operate("held", "--by", "domain")


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
