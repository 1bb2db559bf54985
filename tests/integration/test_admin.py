"""The admin's pages: they only translate, and never without a right and a reason."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.admin import pages
from notifyguard.admin.held_messages import HeldMessageAdmin
from notifyguard.decision import Sending, State
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Delivery, Event, HeldMessage, Release, Switch
from tests.factories import ClaimFactory, DeliveryFactory, SwitchFactory, UserFactory
from tests.mailbox import letter, rows, states
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

SWITCHES = "admin:notifyguard_switch"
HELD = reverse("admin:notifyguard_heldmessage_changelist")
DELIVERIES = reverse("admin:notifyguard_delivery_changelist")


@pytest.fixture
def page(client, full):
    """Open pages as a user with some rights: ``page("view_switch", ...)``."""

    def log_in(*codenames, superuser=False):
        user = UserFactory(username="ann", is_staff=True, is_superuser=superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert user.user_permissions.count() == len(codenames)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def root(page):
    return page(superuser=True)


def filled(**changes):
    """What a browser sends from the form of a switch."""
    written = {"pattern": "ticket.*", "sending": "hold", "reason": "why"} | changes
    return {name: value for name, value in written.items() if value is not None}


def ending(at):
    local = timezone.localtime(at)
    return {"expires_at_0": f"{local:%Y-%m-%d}", "expires_at_1": f"{local:%H:%M:%S}"}


def shown(response):
    """The rows of a list, by recipient."""
    return sorted(row.recipient for row in response.context["cl"].result_list)


def act(client, action, ids, **more):
    data = {"action": action, "_selected_action": [str(each) for each in ids], **more}
    return client.post(HELD, data, follow=True)


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


@pytest.fixture
def two_held(mailbox):
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("x"))
    letter("ann@example.com", type="ticket.modified").send()
    letter("bob@example.com", type="invoice.sent").send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("x"))
    Event.objects.all().delete()
    return mailbox


# Switches


def test_a_switch_is_set_through_the_switchboard(root, mailbox):
    before = switchboard.board().generation
    response = root.post(reverse(f"{SWITCHES}_add"), filled())
    assert response.status_code == 302
    assert switchboard.board(fresh=True).generation != before
    assert events() == [("switch", "ticket.*", "", "hold", None, "ann", "why")]
    letter(type="ticket.modified").send()
    assert states() == ["held"]


def test_the_kill_switch_is_a_tick(root, full):
    root.post(reverse(f"{SWITCHES}_add"), filled(pattern="*", everything="on"))
    switch = Switch.objects.get()
    assert (switch.everything, switch.author) == (True, "ann")


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
    response = root.post(reverse(f"{SWITCHES}_add"), filled(**changes))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert not Switch.objects.exists()


def test_a_switch_to_discard_with_an_end_is_set(root, full):
    until = timezone.now() + timedelta(days=1)
    root.post(reverse(f"{SWITCHES}_add"), filled(sending="discard", **ending(until)))
    assert Switch.objects.get().sending == "discard"


def test_a_pattern_that_has_a_switch_is_not_set_over_unseen(root, full):
    SwitchFactory(pattern="ticket.*", sending="hold")
    response = root.post(reverse(f"{SWITCHES}_add"), filled(sending="open"))
    assert response.status_code == 200
    assert Switch.objects.get().sending == "hold"


def test_a_change_needs_a_reason_of_its_own(root, full):
    switch = SwitchFactory(pattern="ticket.*", reason="the first one")
    address = reverse(f"{SWITCHES}_change", args=[switch.pk])
    assert root.get(address).context["adminform"].form.initial["reason"] == ""
    assert root.post(address, {"sending": "open", "reason": ""}).status_code == 200
    root.post(address, {"sending": "open", "reason": "found it"})
    (change,) = Switch.objects.all()
    assert (change.pk, change.sending, change.reason) == (switch.pk, "open", "found it")
    assert events() == [("switch", "ticket.*", "hold", "open", None, "ann", "found it")]


def test_a_switch_is_taken_away_with_a_reason(root, full):
    switch = SwitchFactory(pattern="ticket.*")
    address = reverse(f"{SWITCHES}_delete", args=[switch.pk])
    assert 'name="reason"' in root.get(address).content.decode()
    response = root.post(address, {"post": "yes", "reason": " "}, follow=True)
    assert "give a reason" in told(response)
    assert Switch.objects.exists()
    root.post(address, {"post": "yes", "reason": "found it"})
    assert not Switch.objects.exists()
    assert events() == [("switch", "ticket.*", "hold", "open", None, "ann", "found it")]


def test_switches_are_not_deleted_by_the_dozen(root, full):
    switch = SwitchFactory()
    address = reverse(f"{SWITCHES}_changelist")
    root.post(
        address, {"action": "delete_selected", "_selected_action": [switch.pk], "post": "yes"}
    )
    assert Switch.objects.exists()


def test_who_may_only_look_at_switches_sets_none(page):
    client = page("view_switch")
    switch = SwitchFactory()
    assert client.get(reverse(f"{SWITCHES}_changelist")).status_code == 200
    for name, args in (("add", []), ("delete", [switch.pk])):
        address = reverse(f"{SWITCHES}_{name}", args=args)
        assert client.post(address, {"post": "yes", "reason": "x", **filled()}).status_code == 403
    change = reverse(f"{SWITCHES}_change", args=[switch.pk])
    assert client.post(change, {"sending": "open", "reason": "x"}).status_code == 403
    assert Switch.objects.get().sending == "hold"


def test_a_forged_request_sets_nothing_even_where_the_project_checks_none(root, full):
    full.MIDDLEWARE = [each for each in full.MIDDLEWARE if "csrf" not in each]
    root.handler.enforce_csrf_checks = True
    switch = SwitchFactory()
    for address in (
        reverse(f"{SWITCHES}_add"),
        reverse(f"{SWITCHES}_delete", args=[switch.pk]),
    ):
        assert root.post(address, filled(post="yes")).status_code == 403


# Held messages


def test_release_sends_the_selected_and_says_so(root, two_held):
    (row,) = rows(type="ticket.modified")
    response = act(root, "release", [row.id], reason="still of use")
    assert f"Release {Release.objects.get().pk} is begun" in told(response)
    assert two_held.recipients() == ["ann@example.com"]
    assert states() == ["held", "sent"]
    subject = f"{Release.objects.get().pk}: {row.id}"
    assert events() == [
        ("begin_release", subject, "", "running", 1, "ann", "still of use"),
        ("release", subject, "held", "done", 1, "ann", "still of use"),
    ]


def test_release_leaves_held_what_a_switch_stops(root, two_held):
    switchboard.set_switch("invoice.*", Sending.HOLD, reason="broken", actor=unrestricted("bob"))
    response = act(root, "release", [row.id for row in rows()], reason="x")
    assert "switch, 1: stays held: hold by database (invoice.*)" in told(response)
    assert two_held.recipients() == ["ann@example.com"]
    # Left alone, and not released to be held again.
    assert [row.attempt for row in rows(state=State.HELD)] == [1]


def test_many_are_left_to_a_sweeper(root, two_held, monkeypatch):
    monkeypatch.setattr("notifyguard.admin.held_messages.AT_ONCE", 1)
    response = act(root, "release", [row.id for row in rows()], reason="x")
    assert "sent by a sweeper" in told(response)
    assert states() == ["held", "held"]
    sweeper.sweep()
    assert states() == ["sent", "sent"]


def test_discard_sends_nothing(root, two_held):
    response = act(root, "discard", [row.id for row in rows()], reason="wrong")
    assert "2 deliveries discarded" in told(response)
    assert states() == ["discarded", "discarded"]
    assert two_held.accepted() == []


@pytest.mark.parametrize("action", ["release", "discard"])
def test_held_messages_are_not_moved_without_a_reason(root, two_held, action):
    response = act(root, action, [row.id for row in rows()], reason=" ")
    assert "give a reason" in told(response)
    assert states() == ["held", "held"]


@pytest.mark.parametrize("action", ["release", "discard"])
def test_who_may_look_may_not_let_go(page, two_held, action, rf):
    client = page("view_heldmessage", "read_body", "set_switches")
    assert f'value="{action}"' not in client.get(HELD).content.decode()
    act(client, action, [row.id for row in rows()], reason="x")
    assert states() == ["held", "held"]
    # Nor by a way around the list of actions.
    request = rf.post(HELD, {"reason": "x"})
    request.user = client.get(HELD).wsgi_request.user
    admin = HeldMessageAdmin(HeldMessage, pages.admin.site)
    with pytest.raises(NotAllowed):
        getattr(admin, action)(request, HeldMessage.objects.all())
    assert states() == ["held", "held"]


def test_who_has_the_right_may_let_go(page, two_held):
    client = page("view_heldmessage", "release_held", "discard_held")
    assert 'value="release"' in client.get(HELD).content.decode()
    act(client, "release", [row.id for row in rows()], reason="x")
    assert states() == ["sent", "sent"]


def test_only_held_messages_are_listed(root, full):
    DeliveryFactory(recipient="sent@example.com")
    later = timezone.now() + timedelta(days=9)
    DeliveryFactory(recipient="held@example.com", state=State.HELD, wake_at=later)
    assert shown(root.get(HELD)) == ["held@example.com"]


# Deliveries and events


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ann@example.com", ["ann@example.com"]),
        ("ANN@Example.com", ["ann@example.com"]),
        ("ann", ["ann@example.com", "anna@example.com"]),
        ("ticket.modified", ["ann@example.com"]),
        ("ticket.", ["ann@example.com", "anna@example.com"]),
        ("nobody", []),
        ("an%", []),
        ("%", []),
    ],
)
def test_what_is_searched_for_is_found(root, full, term, found):
    DeliveryFactory(recipient="ann@example.com", type="ticket.modified")
    DeliveryFactory(recipient="anna@example.com", type="ticket.closed")
    DeliveryFactory(recipient="bob@example.com", type="invoice.sent")
    assert shown(root.get(DELIVERIES, {"q": term})) == found


def test_a_delivery_is_found_by_its_ids(root, full):
    row = DeliveryFactory(recipient="ann@example.com")
    DeliveryFactory()
    key = ClaimFactory(delivery=row.id).key
    for wanted in (row.id, row.dispatch, key):
        assert shown(root.get(DELIVERIES, {"q": str(wanted)})) == ["ann@example.com"]


def test_the_ledger_is_never_counted_as_a_whole(root, full, monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 3)
    for _ in range(5):
        DeliveryFactory()
    with CaptureQueriesContext(connection) as queries:
        response = root.get(DELIVERIES)
    assert response.context["cl"].result_count == 3
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(re.search(r"LIMIT 3", sql) for sql in counts), counts


def test_deliveries_may_be_narrowed_to_what_waits(root, full):
    later = timezone.now() + timedelta(days=9)
    DeliveryFactory(recipient="held@example.com", state=State.HELD, wake_at=later)
    DeliveryFactory()
    assert shown(root.get(DELIVERIES, {"waiting": "held"})) == ["held@example.com"]


@pytest.mark.parametrize("model", ["delivery", "event", "heldmessage"])
def test_what_is_on_record_cannot_be_changed_even_by_root(root, full, model):
    row = DeliveryFactory(state=State.HELD, wake_at=timezone.now())
    event = Event.objects.create(at=timezone.now(), actor="ann", action="x", subject="y")
    key = event.pk if model == "event" else row.pk
    name = f"admin:notifyguard_{model}"
    assert root.get(reverse(f"{name}_changelist")).status_code == 200
    assert root.get(reverse(f"{name}_change", args=[key])).status_code == 200
    for address in (
        reverse(f"{name}_add"),
        reverse(f"{name}_change", args=[key]),
        reverse(f"{name}_delete", args=[key]),
    ):
        assert root.post(address, {"post": "yes"}).status_code == 403
    assert Delivery.objects.count() == Event.objects.count() == 1


def test_strangers_see_nothing(page):
    client = page()
    for address in (HELD, DELIVERIES, reverse("admin:notifyguard_event_changelist")):
        assert client.get(address).status_code == 403
