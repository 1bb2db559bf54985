"""Who stops what: sources, patterns, precedence, expiry; and what a stop leaves behind."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

import notifyguard
from notifyguard import conf, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Claim, Control, Delivery, Event, FrozenMessage, Switch
from tests.mailbox import letter, outcomes, rows, states

pytestmark = pytest.mark.django_db(transaction=True)

CRITICAL = "auth.password_reset"


def flip(pattern, sending, **more):
    values: dict[str, Any] = {"reason": "a reason", "actor": unrestricted("me")}
    if sending == "discard":
        values["expires_at"] = timezone.now() + timedelta(hours=1)
    switchboard.set_switch(pattern, Sending(sending), **(values | more))


def state_of(type="ticket.modified", **more):
    """Send one message of a type and tell what came of it."""
    message = letter("ann@example.com", type=type, **more)
    message.send()
    return outcomes(message)["ann@example.com"]


def by_settings(settings, monkeypatch, value):
    settings.NOTIFYGUARD |= {"SENDING": value}


def by_environment(settings, monkeypatch, value):
    monkeypatch.setenv("NOTIFYGUARD_SENDING", value)


def by_type(settings, monkeypatch, value):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"sending": value}}}


def by_database(settings, monkeypatch, value):
    flip("ticket.*", value)


SOURCES = [by_settings, by_environment, by_type, by_database]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("value", "state"), [("hold", "held"), ("discard", "discarded")])
def test_every_source_stops(mailbox, settings, monkeypatch, source, value, state):
    source(settings, monkeypatch, value)
    assert state_of() == state
    assert mailbox.accepted() == []
    (row,) = rows()
    assert row.rule == "switch"
    assert value in row.reason


@pytest.mark.parametrize("other", SOURCES)
@pytest.mark.parametrize("source", SOURCES)
def test_hold_beats_discard_whatever_the_sources(mailbox, settings, monkeypatch, source, other):
    if source is other:
        return
    source(settings, monkeypatch, "discard")
    other(settings, monkeypatch, "hold")
    assert state_of() == "held"


@pytest.mark.parametrize("source", SOURCES)
def test_open_in_one_source_opens_nothing_that_another_stops(
    mailbox, settings, monkeypatch, source
):
    source(settings, monkeypatch, "hold")
    for other in SOURCES:
        if other is not source:
            other(settings, monkeypatch, "open")
    assert state_of() == "held"


def test_within_the_database_the_most_specific_pattern_decides(mailbox):
    flip("*", "hold")
    flip("ticket.*", "open")
    flip("ticket.closed", "discard")
    assert state_of("ticket.modified") == "sent"
    assert state_of("ticket.closed") == "discarded"
    assert state_of("newsletter") == "held"


def test_the_kill_switch_is_above_every_pattern(mailbox):
    flip("ticket.modified", "open")
    flip("*", "hold", everything=True)
    assert state_of() == "held"
    assert state_of(CRITICAL) == "held"


@pytest.mark.parametrize(
    ("pattern", "state"), [("*", "sent"), ("**", "sent"), ("auth.*", "held"), (CRITICAL, "held")]
)
def test_critical_mail_obeys_only_a_switch_that_names_it(mailbox, pattern, state):
    flip(pattern, "hold")
    assert state_of(CRITICAL) == state


def test_opening_sends_again_and_releases_nothing(mailbox):
    flip("*", "hold")
    assert state_of() == "held"
    assert switchboard.clear_switch("*", reason="over", actor=unrestricted("me"))
    assert state_of() == "sent"
    assert states() == ["held", "sent"]
    assert not switchboard.clear_switch("*", reason="over", actor=unrestricted("me"))


def test_a_switch_ends_by_itself(mailbox):
    flip("*", "discard", expires_at=timezone.now() + timedelta(hours=1))
    assert state_of() == "discarded"
    Switch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    switchboard.forget()
    assert state_of() == "sent"


@pytest.mark.parametrize(
    ("pattern", "sending", "more"),
    [
        ("*", "hold", {"reason": " "}),
        ("", "hold", {}),
        (" ", "hold", {}),
        ("x" * 201, "hold", {}),
        ("everything", "hold", {}),
        ("*", "discard", {"expires_at": None}),
    ],
)
def test_a_switch_that_nobody_could_understand_is_refused(mailbox, pattern, sending, more):
    with pytest.raises(NotAllowed):
        flip(pattern, sending, **more)
    assert not Switch.objects.exists()
    assert not Event.objects.exists()


def test_each_change_is_an_event_with_its_author_and_reason(mailbox):
    flip("ticket.*", "hold", reason="too many", actor=unrestricted("ann"))
    switchboard.clear_switch("ticket.*", reason="fixed", actor=unrestricted("bob"))
    last, first = Event.objects.all()
    assert (first.actor, first.before, first.after, first.reason) == ("ann", "", "hold", "too many")
    assert (last.actor, last.before, last.after, last.reason) == ("bob", "hold", "open", "fixed")


def test_each_change_gives_a_new_generation(mailbox):
    seen = set()
    for sending in ("hold", "open") * 3:
        flip("*", sending)
        seen.add(Control.objects.get().generation)
    assert len(seen) == 6


def test_what_is_held_claims_its_key_and_keeps_its_message(mailbox):
    flip("*", "hold")
    assert state_of(key="1", subject="Hello") == "held"
    for _ in range(3):
        assert state_of(key="1", subject="Hello") == "duplicate"
    assert states() == ["held"]
    assert Claim.objects.get().duplicates == 3
    assert FrozenMessage.objects.count() == 1


def test_what_is_discarded_claims_its_key_and_keeps_its_message_for_a_while(mailbox):
    flip("*", "discard")
    assert state_of(key="1", subject="Hello") == "discarded"
    switchboard.clear_switch("*", reason="over", actor=unrestricted("me"))
    assert state_of(key="1", subject="Hello") == "duplicate"
    assert FrozenMessage.objects.count() == 1
    assert mailbox.accepted() == []


def test_what_is_suppressed_leaves_its_key_free_and_keeps_nothing(mailbox):
    with notifyguard.suppressed("ticket.*", reason="backfill"):
        assert state_of(key="1", subject="Hello") == "discarded"
    (row,) = rows()
    assert (row.rule, row.reason, row.key) == ("suppressed", "backfill", None)
    assert not FrozenMessage.objects.exists()
    assert state_of(key="1", subject="Hello") == "sent"


def test_the_inform_step_lifts_suppression_and_no_switch(mailbox):
    with notifyguard.suppressed(reason="backfill"):
        with notifyguard.unsuppressed("ticket.*", reason="tell owners"):
            assert state_of() == "sent"
            flip("ticket.*", "hold")
            assert state_of() == "held"
        assert state_of() == "discarded"


def test_the_outcome_names_rule_and_reason(mailbox):
    flip("ticket.*", "hold", reason="too many", actor=unrestricted("ann"))
    message = letter("ann@example.com")
    assert message.send() == 0
    (told,) = notifyguard.outcome(message)
    assert (told.recipient, told.state, told.rule) == ("ann@example.com", State.HELD, "switch")
    assert "too many" in told.reason
    assert "ann" in told.reason


def test_the_sources_say_who_stops_a_type_the_strongest_first(mailbox, settings, monkeypatch):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"sending": "discard"}}}
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "open")
    flip("ticket.modified", "hold", reason="too many")
    sources = switchboard.board().sources("ticket.modified", conf.current())
    said = [(ruling.source, ruling.pattern, str(ruling.sending)) for ruling in sources]
    assert said == [
        ("database", "ticket.modified", "hold"),
        ("settings", "TYPES", "discard"),
        ("settings", "everything", "open"),
        ("environment", "everything", "open"),
    ]


def test_a_switch_does_not_touch_what_has_left(mailbox):
    assert state_of(key="1") == "sent"
    flip("*", "hold", everything=True)
    sweeper.sweep()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_a_switch_stops_the_types_that_are_written_as_it_is_and_no_others(mailbox):
    """Some databases take patterns for one that differ in case or accents only."""
    who: dict[str, Any] = {"reason": "x", "actor": unrestricted("ann")}
    for pattern in ("ticket.changed", "Ticket.Changed", "tickét.changed"):
        switchboard.set_switch(pattern, Sending.HOLD, **who)
        letter(type=pattern).send()
    assert states() == ["held"] * 3
    assert not switchboard.clear_switch("TICKET.changed", **who)
    assert switchboard.clear_switch("Ticket.Changed", **who)
    for pattern in ("ticket.changed", "Ticket.Changed", "tickét.changed"):
        letter(type=pattern).send()
    assert Counter(states()) == {"held": 5, "sent": 1}


@pytest.mark.parametrize("year", [9000, 9999])
def test_an_end_that_no_database_gives_back_is_refused(mailbox, year):
    """In 9999, west of Greenwich, it is the year 10000 in UTC: the row could not be read again."""
    far = datetime(year, 12, 31, 23, 59, tzinfo=ZoneInfo("America/Chicago"))
    with pytest.raises(NotAllowed, match="too far away"):
        flip("ticket.*", "hold", expires_at=far)
    assert state_of() == "sent"
