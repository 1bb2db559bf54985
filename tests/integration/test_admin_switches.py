"""The pages of switches: one click stops, a word opens, and each is an event with a reason."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from notifyguard import database, switchboard
from notifyguard.decision import Sending, State
from notifyguard.models import Switch
from tests.factories import DeliveryFactory, SwitchFactory
from tests.mailbox import letter, states
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "admin:notifyguard_switch"
SWITCHES = reverse(f"{NAME}_changelist")
STOP = reverse(f"{NAME}_stop")
SET = reverse(f"{NAME}_set")
TYPES = reverse(f"{NAME}_types")


def at(name, switch):
    return reverse(f"{NAME}_{name}", args=[switch.pk])


def filled(**changes):
    """What a browser sends from the form of a switch."""
    written = {"pattern": "ticket.*", "sending": "hold", "reason": "why"} | changes
    return {name: value for name, value in written.items() if value is not None}


def ending(when):
    local = timezone.localtime(when)
    return {"expires_at_0": f"{local:%Y-%m-%d}", "expires_at_1": f"{local:%H:%M}"}


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def text(response):
    return " ".join(response.content.decode().split())


# Stopping


@pytest.mark.parametrize(
    ("pattern", "named", "everything"),
    [("*", "*", False), ("everything", "*", True), ("ticket.*", "ticket.*", False)],
)
def test_one_click_stops(root, mailbox, pattern, named, everything):
    before = switchboard.board().generation
    response = root.post(STOP, {"pattern": pattern})
    switch = Switch.objects.get()
    assert (switch.pattern, switch.everything, switch.sending) == (named, everything, "hold")
    assert switchboard.board(fresh=True).generation != before
    letter(type="ticket.modified").send()
    assert states() == ["held"]
    assert response.url == at("reason", switch)


@pytest.mark.parametrize("address", [STOP, SET])
@pytest.mark.parametrize(
    ("pattern", "doubt"),
    [
        ("tickt.*", "No message of the type tickt.* has been seen yet. Did you mean ticket.*?"),
        ("x.*, y.*", "No message of the type x.*, y.* has been seen yet. Types lists those seen."),
        ("ticket.*", ""),
        ("auth.password_reset", ""),
        ("*", ""),
    ],
)
def test_a_pattern_that_stops_nothing_we_know_of_is_told(root, address, pattern, doubt):
    """A slip at night stops nothing, and the page said that nothing leaves any more."""
    DeliveryFactory(type="ticket.modified")
    said = told(root.post(address, filled(pattern=pattern), follow=True))
    assert Switch.objects.get().pattern == pattern
    assert doubt in said
    assert ("has been seen yet" in said) == bool(doubt)


def test_where_no_switch_is_obeyed_no_page_says_that_nothing_leaves(root, mailbox, settings):
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "MODE": "bypass"}
    response = root.post(STOP, {"pattern": "*"}, follow=True)
    assert "no switch is obeyed" in told(response)
    assert "Nothing of it leaves" not in told(response)
    assert "no switch is obeyed" in text(root.get(SWITCHES))
    letter("ann@example.com").send()
    assert mailbox.recipients() == ["ann@example.com"]


def test_the_reason_is_asked_for_afterwards_and_kept_as_a_second_event(root, full):
    root.post(STOP, {"pattern": "ticket.*"})
    switch = Switch.objects.get()
    assert "No reason was given yet" in text(root.get(SWITCHES))
    root.post(at("reason", switch), {"reason": "the migration mails everybody"})
    assert Switch.objects.get().reason == "the migration mails everybody"
    assert "No reason was given yet" not in text(root.get(SWITCHES))
    follows = switchboard.REASON_FOLLOWS
    assert events() == [
        ("switch", "ticket.*", "", "hold", None, "ann", follows),
        ("switch", "ticket.*", "hold", "hold", None, "ann", "the migration mails everybody"),
    ]


def test_processes_that_hold_learn_the_reason(root, mailbox):
    root.post(STOP, {"pattern": "ticket.*"})
    letter(type="ticket.modified").send()
    root.post(at("reason", Switch.objects.get()), {"reason": "a flood"})
    letter(type="ticket.modified").send()
    assert states(reason__contains="a flood") == ["held"]


def test_who_stops_what_is_stopped_already_changes_nothing(root, full):
    SwitchFactory(pattern="ticket.*", reason="the first one", author="bob")
    response = root.post(STOP, {"pattern": "ticket.*"}, follow=True)
    assert "stopped already" in told(response)
    assert Switch.objects.get().reason == "the first one"
    assert events() == []


@pytest.mark.parametrize(
    "more",
    [{"sending": "open"}, {"expires_at": timezone.now() - timedelta(hours=1)}],
    ids=["open", "over"],
)
def test_a_switch_that_stops_nothing_any_more_does_not_keep_one_from_stopping(root, full, more):
    SwitchFactory(pattern="ticket.*", **more)
    root.post(STOP, {"pattern": "ticket.*"})
    switch = Switch.objects.get()
    assert (switch.sending, switch.expires_at, switch.author) == ("hold", None, "ann")


@pytest.mark.parametrize("pattern", ["ticket.?", "ticket.\x00", "x" * 5000])
def test_a_pattern_that_is_none_stops_nothing_and_says_so(root, full, pattern):
    response = root.post(STOP, {"pattern": pattern}, follow=True)
    assert "not a pattern" in told(response) or "5000 characters" in told(response)
    assert not Switch.objects.exists()


def test_to_look_at_the_address_stops_nothing(root, full):
    assert root.get(STOP).status_code == 405
    assert not Switch.objects.exists()


def test_a_forged_request_stops_nothing_even_where_the_project_checks_none(root, full):
    full.MIDDLEWARE = [each for each in full.MIDDLEWARE if "csrf" not in each]
    root.handler.enforce_csrf_checks = True
    switch = SwitchFactory()
    for address in (STOP, SET, at("resume", switch), at("reason", switch)):
        assert root.post(address, filled(word="resume")).status_code == 403
    assert Switch.objects.get().reason == switch.reason


# Opening


def test_opening_asks_for_a_word_and_a_reason(root, full):
    switch = SwitchFactory(pattern="ticket.*")
    DeliveryFactory(state=State.HELD, wake_at=timezone.now() + timedelta(days=9))
    shown = text(root.get(at("resume", switch)))
    assert "1 held delivery" in shown
    for wrong in ({"reason": "over"}, {"word": "resume"}, {"reason": "over", "word": "yes"}):
        assert root.post(at("resume", switch), wrong).status_code == 200
    assert Switch.objects.exists()
    response = root.post(at("resume", switch), {"reason": "over", "word": " Resume "}, follow=True)
    assert "stays held until it is released" in told(response)
    assert events() == [("switch", "ticket.*", "hold", "open", None, "ann", "over")]
    assert states() == ["held"]


def test_who_opens_hears_what_still_stops_mail(root, full):
    full.NOTIFYGUARD |= {"SENDING": "hold"}
    answer = {"reason": "over", "word": "resume"}
    response = root.post(at("resume", SwitchFactory()), answer, follow=True)
    assert "This still stops mail: hold by settings" in told(response)


def test_a_switch_that_somebody_took_away_is_not_found(root, full):
    assert root.get(f"{SWITCHES}99/resume/").status_code == 404


# Setting


def test_a_switch_is_set_through_the_switchboard(root, mailbox):
    until = timezone.now() + timedelta(days=1)
    assert root.post(SET, filled(sending="discard", **ending(until))).status_code == 302
    switch = Switch.objects.get()
    assert (switch.sending, switch.author) == ("discard", "ann")
    assert events() == [("switch", "ticket.*", "", "discard", None, "ann", "why")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"pattern": "ticket.?"}, "pattern"),
        ({"pattern": "everything"}, "pattern"),
        ({"pattern": "x" * 201}, "pattern"),
        ({"pattern": "ticket.*", "everything": "on"}, "pattern"),
        ({"sending": "stop"}, "sending"),
        ({"sending": "discard"}, "expires_at"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "08:00"}, "expires_at"),
        ({"expires_at_0": "soon", "expires_at_1": "08:00"}, "expires_at"),
    ],
)
def test_what_cannot_be_set_is_said_at_its_field(root, full, changes, field):
    response = root.post(SET, filled(**changes))
    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert not Switch.objects.exists()


def test_a_pattern_that_has_a_switch_is_not_set_over_unseen(root, full):
    SwitchFactory(pattern="ticket.*", sending="hold")
    assert root.post(SET, filled(sending="open")).status_code == 200
    assert Switch.objects.get().sending == "hold"


def test_a_change_needs_a_reason_of_its_own(root, full):
    switch = SwitchFactory(pattern="ticket.*", reason="the first one")
    address = at("change", switch)
    assert root.get(address).context["form"].initial["reason"] == ""
    assert root.post(address, {"sending": "open", "reason": ""}).status_code == 200
    root.post(address, {"sending": "open", "reason": "found it"})
    (change,) = Switch.objects.all()
    assert (change.pk, change.sending, change.reason) == (switch.pk, "open", "found it")
    assert events() == [("switch", "ticket.*", "hold", "open", None, "ann", "found it")]


# Looking


def test_what_decides_is_shown_with_its_source(root, full, monkeypatch):
    full.NOTIFYGUARD |= {"SENDING": "hold", "TYPES": {"a.*": {"sending": "discard"}}}
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "hold")
    SwitchFactory(pattern="ticket.*", author="bob", reason="a flood")
    shown = text(root.get(SWITCHES))
    for word in ("SENDING", "NOTIFYGUARD_SENDING", "a.*", "ticket.*", "bob", "a flood"):
        assert word in shown


def test_who_may_only_look_sets_none_and_is_shown_no_button(page):
    client = page("view_switch")
    switch = SwitchFactory()
    assert "<button" not in client.get(SWITCHES).content.decode().partition("ng-standing")[2]
    for address in (STOP, SET, at("change", switch), at("reason", switch)):
        response = client.post(address, filled(pattern="invoice.*"), follow=True)
        assert "ann may not do this without notifyguard.set_switches" in told(response)
    client.post(at("resume", switch), {"reason": "x", "word": "resume"})
    assert Switch.objects.get().sending == "hold"
    assert events() == []


def test_strangers_see_nothing(page):
    client = page("view_event")
    for address in (SWITCHES, TYPES, SET):
        assert client.get(address).status_code == 403


# Types


def test_each_type_is_shown_with_its_switch_and_what_waits_of_it(root, full):
    full.NOTIFYGUARD |= {"TYPES": {"auth.code": {"critical": True}}}
    later = timezone.now() + timedelta(days=9)
    for state in (State.HELD, State.HELD, State.UNCERTAIN):
        DeliveryFactory(type="ticket.modified", state=state, wake_at=later)
    DeliveryFactory(type="auth.code")
    SwitchFactory(pattern="ticket.*")
    auth, ticket = root.get(TYPES).context["types"]
    assert (auth["name"], auth["critical"], auth["ruling"]) == ("auth.code", True, None)
    assert ticket["ruling"].sending is Sending.HOLD
    assert ticket["waiting"] == {"held": 2, "uncertain": 1}


def test_types_are_narrowed_down_and_stopped_from_the_list(root, full):
    DeliveryFactory(type="ticket.modified")
    DeliveryFactory(type="invoice.sent")
    response = root.get(TYPES, {"q": "voice"})
    assert [each["name"] for each in response.context["types"]] == ["invoice.sent"]
    assert 'value="invoice.sent">Stop' in response.content.decode()


# Above every page


def test_what_is_stopped_stands_above_every_page(root, full):
    SwitchFactory(pattern="ticket.*", author="bob", reason="a flood")
    for name in ("switch", "delivery", "heldmessage", "event"):
        shown = text(root.get(reverse(f"admin:notifyguard_{name}_changelist")))
        assert "Stopped: ticket.*" in shown
        assert "by bob" in shown
    index = text(root.get(reverse("admin:app_list", args=["notifyguard"])))
    assert "Stopped: ticket.*" in index
    assert "Did they get it" in index


@pytest.mark.parametrize(("mode", "said"), [("enforce", "Mail is open."), ("bypass", "no switch")])
def test_when_nothing_is_stopped_that_is_said(root, full, mode, said):
    full.NOTIFYGUARD |= {"MODE": mode}
    assert said in text(root.get(SWITCHES))


def test_a_missing_sweeper_is_said(root, full):
    DeliveryFactory(state=State.QUEUED, wake_at=timezone.now() - timedelta(minutes=1))
    assert "No sweeper runs" in text(root.get(SWITCHES))


def test_a_deed_commits_by_itself_where_requests_are_one_transaction(root, full, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    standing = []

    def stop(*args, **kwargs):
        standing.append(database.standing())
        return True

    SwitchFactory(pattern="ticket.*")
    monkeypatch.setattr(switchboard, "stop", stop)
    root.post(STOP, {"pattern": "ticket.*"})
    assert standing == [database.Standing.AUTOCOMMIT]


def test_a_slip_in_the_ledgers_alias_is_told_by_a_check_and_not_by_every_page(full):
    """The pages are made when the project's URLs are loaded, also by ``manage.py check``."""
    full.NOTIFYGUARD |= {"DATABASE": "ledgr"}
    assert admin.site.get_urls()


def test_who_stops_what_is_stopped_already_does_not_write_over_the_reason(root):
    SwitchFactory(pattern="ticket.*", sending="hold", reason="a flood", author="bob")
    response = root.post(STOP, {"pattern": "ticket.*"})
    assert response.url == SWITCHES
    assert Switch.objects.get().reason == "a flood"
