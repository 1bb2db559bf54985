"""The pages of what is held: looked at, let go with a canary, discarded; by a number typed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.admin import working
from notifyguard.decision import Sending
from notifyguard.models import Delivery, Event, Release
from tests.mailbox import letter, states
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

HELD = reverse("admin:notifyguard_heldmessage_changelist")
LIST = reverse("admin:notifyguard_heldmessage_list")
RELEASE = reverse("admin:notifyguard_heldmessage_release")
DISCARD = reverse("admin:notifyguard_heldmessage_discard")
DISCARDED = reverse("admin:notifyguard_heldmessage_discarded")
UNDO = reverse("admin:notifyguard_heldmessage_undo")
RELEASES = reverse("admin:notifyguard_release_changelist")


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def text(response):
    return " ".join(response.content.decode().split())


def answer(client, address, **more):
    """Open the page of a deed, and send its form as it was shown."""
    form = client.get(address).context["form"]
    filled = {"shown": form.initial["shown"], "word": form.wanted, "reason": "looked at it"}
    if address.startswith(RELEASE):
        filled["canary"] = "0"
    return client.post(address, filled | more, follow=True)


@pytest.fixture
def held(mailbox):
    """Two tickets, one of them large, and an invoice, which a switch held that is gone."""
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("x"))
    letter("ann@example.com", type="ticket.modified").send()
    letter("bob@example.org", type="ticket.modified", body="x" * 5000).send()
    letter("carol@example.com", type="invoice.sent").send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("x"))
    Event.objects.all().delete()
    return mailbox


# Looking


def test_what_is_held_is_shown_in_groups(root, held):
    groups = root.get(HELD).context["groups"]
    assert [(each.type, each.rule, each.deliveries, each.people) for each in groups] == [
        ("invoice.sent", "switch", 1, 1),
        ("ticket.modified", "switch", 2, 2),
    ]


@pytest.mark.parametrize("query", ["type=?", "older=17", "id=x", "larger=-1", "type=%00"])
def test_what_cannot_be_read_means_nothing_and_is_said_at_its_field(root, held, query):
    response = root.get(f"{HELD}?{query}")
    assert response.context["groups"] == []
    assert response.context["asked"].errors


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["ann@example.com", "bob@example.org", "carol@example.com"]),
        ("type=ticket.*", ["ann@example.com", "bob@example.org"]),
        ("rule=limits", []),
        ("larger=3", ["bob@example.org"]),
        ("older=1", []),
        ("younger=1", ["ann@example.com", "bob@example.org", "carol@example.com"]),
        ("people=ann@EXAMPLE.com,+example.ORG", ["ann@example.com", "bob@example.org"]),
        ("type=?", []),
        ("older=17", []),
    ],
)
def test_it_is_narrowed_down(root, held, query, found):
    response = root.get(f"{LIST}?{query}")
    assert [row.recipient for row in response.context["found"]] == found


# Letting go


def test_a_release_shows_what_it_would_do_and_asks_for_the_number(root, held):
    switchboard.set_switch("invoice.*", Sending.HOLD, reason="wrong", actor=unrestricted("bob"))
    response = root.get(RELEASE)
    assert "stays held: hold by database (invoice.*)" in text(response)
    assert response.context["form"].wanted == "3"
    for wrong in ({"word": "2"}, {"word": ""}, {"reason": " "}, {"canary": "x"}, {"rate": "0"}):
        assert answer(root, RELEASE, **wrong).status_code == 200
    assert not Release.objects.exists()


def test_a_few_leave_at_once(root, held):
    response = answer(root, f"{RELEASE}?type=ticket.*")
    assert held.recipients() == ["ann@example.com", "bob@example.org"]
    release = Release.objects.get()
    assert (release.state, release.actor, release.reason) == ("done", "ann", "looked at it")
    assert response.redirect_chain[-1][0] == f"{RELEASES}{release.pk}/"
    assert "2 of 2 let go" in text(response)


def test_who_clicks_twice_has_one_release_and_one_canary(root, held):
    form = root.get(RELEASE).context["form"]
    filled = {"shown": form.initial["shown"], "word": "3", "reason": "looked", "canary": "1"}
    first = root.post(RELEASE, filled)
    second = root.post(RELEASE, filled, follow=True)
    assert second.redirect_chain[-1][0] == first["Location"]
    assert "It is released already" in told(second)
    assert len(held.recipients()) == 1


def test_what_was_not_shown_by_us_is_shown_and_not_done(root, held):
    filled = {"shown": "of another secret key", "word": "3", "reason": "looked", "canary": "0"}
    shown = [root.post(page, filled).context["form"] for page in (RELEASE, DISCARD)]
    assert states() == ["held", "held", "held"]
    for page, form in zip((RELEASE, DISCARD), shown, strict=True):
        again = root.post(page, filled | {"shown": form.initial["shown"]}, follow=True)
        assert again.redirect_chain


def test_the_canary_leaves_first_and_the_rest_waits_for_a_word(root, held):
    response = answer(root, RELEASE, canary="1")
    page = response.redirect_chain[-1][0]
    assert held.recipients() == ["ann@example.com"]
    assert "The canary is out" in text(response)
    assert states() == ["held", "held", "sent"]
    root.post(page, {"deed": "continue", "reason": "ann has it"})
    assert states() == ["sent", "sent", "sent"]
    assert "ann has it" in {event[-1] for event in events()}


def test_many_are_left_to_a_sweeper(root, held, monkeypatch):
    monkeypatch.setattr(working, "AT_ONCE", 2)
    response = answer(root, RELEASE)
    assert held.recipients() == []
    assert "Sweepers work it off" in text(response)
    assert response["Refresh"] == "3"
    sweeper.sweep()
    assert len(held.recipients()) == 3
    done = root.get(response.redirect_chain[-1][0])
    assert "Refresh" not in done
    assert "3 of 3 let go" in text(done)


def test_a_slow_server_is_left_to_a_sweeper(root, held, monkeypatch):
    monkeypatch.setattr(working, "PATIENCE", 0.0)
    answer(root, RELEASE)
    assert held.recipients() == []
    sweeper.sweep()
    assert len(held.recipients()) == 3


def test_what_is_held_after_it_was_shown_is_not_let_go(root, held):
    form = root.get(RELEASE).context["form"]
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("x"))
    letter("dan@example.com").send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("x"))
    sent = {"shown": form.initial["shown"], "word": "3", "reason": "x", "canary": "0"}
    root.post(RELEASE, sent)
    assert len(held.recipients()) == 3
    assert "dan@example.com" not in held.recipients()


def test_a_form_that_nobody_was_shown_lets_nothing_go(root, held):
    sent = {"shown": "forged", "word": "3", "reason": "x", "canary": "0"}
    response = root.post(f"{RELEASE}?type=ticket.*", sent)
    assert response.context["form"].wanted == "2"
    assert not Release.objects.exists()


def test_one_is_released_from_its_own_page(root, held):
    row = Delivery.objects.get(recipient="ann@example.com")
    shown = root.get(reverse("admin:notifyguard_delivery_change", args=[row.id]))
    assert f"{RELEASE}?id={row.id}" in shown.content.decode()
    answer(root, f"{RELEASE}?id={row.id}")
    assert held.recipients() == ["ann@example.com"]


def test_who_may_see_releases_alone_is_not_told_whom_they_are_for(page, root, held):
    answer(root, f"{RELEASE}?type=ticket.*")
    address = f"{RELEASES}{Release.objects.get().pk}/"
    assert "ann@example.com" in text(root.get(address))
    User.objects.all().delete()
    shown = text(page("view_release").get(address))
    assert "2 of 2 let go" in shown
    assert "ann@example.com" not in shown


def test_a_release_is_paused_and_stopped(root, held, monkeypatch):
    monkeypatch.setattr(working, "AT_ONCE", 0)
    page = answer(root, RELEASE).redirect_chain[-1][0]
    root.post(page, {"deed": "pause", "reason": "wait"})
    assert Release.objects.get().state == "paused"
    assert root.post(page, {"deed": "pause", "reason": " "}).status_code == 200
    root.post(page, {"deed": "stop", "reason": "no more"})
    assert Release.objects.get().state == "stopped"
    said = told(root.post(page, {"deed": "continue", "reason": "x"}, follow=True))
    assert "is stopped" in said
    assert states() == ["held", "held", "held"]


def test_releases_are_listed(root, held):
    assert "Nothing was released yet" in text(root.get(RELEASES))
    answer(root, RELEASE)
    assert "3 of 3 let go" in text(root.get(RELEASES))
    assert root.get(f"{RELEASES}99/").status_code == 404


# Discarding


def test_discarding_asks_for_the_number_and_sends_nothing(root, held):
    address = f"{DISCARD}?type=ticket.*"
    answer(root, address, word="3")
    assert states() == ["held", "held", "held"]
    assert "2 discarded" in told(answer(root, address))
    assert states() == ["discarded", "discarded", "held"]
    assert held.recipients() == []


def test_what_takes_too_long_is_done_in_part_and_said(root, held, monkeypatch):
    monkeypatch.setattr(working, "PATIENCE", 0.0)
    monkeypatch.setattr("notifyguard.ledger.held.BATCH", 1)
    said = told(answer(root, DISCARD))
    assert "1 discarded. 2 stay held: it took too long. Do it again." in said
    assert states() == ["discarded", "held", "held"]
    said = told(answer(root, DISCARD))
    assert "1 discarded. 1 stay held" in said


def test_nothing_to_do_is_said(root, held):
    for address in (RELEASE, DISCARD):
        said = told(root.get(f"{address}?type=newsletter.*", follow=True))
        assert "Nothing is held of what was asked for" in said


def test_what_was_discarded_can_be_had_back(root, held):
    answer(root, f"{DISCARD}?type=ticket.*")
    groups = root.get(DISCARDED).context["groups"]
    assert groups == [("ticket.modified", "discarded", 2)]
    address = f"{UNDO}?type=ticket.modified&rule=discarded"
    assert root.post(address, {"reason": "x", "word": "3"}).status_code == 200
    said = told(root.post(address, {"reason": "by mistake", "word": "2"}, follow=True))
    assert "2 held again; nothing was sent." in said
    assert states() == ["held", "held", "held"]
    assert "by mistake" in {event[-1] for event in events()}
    assert "Nothing is kept" in told(root.get(address, follow=True))


# Rights


def test_who_may_only_look_moves_nothing(page, held):
    client = page("view_heldmessage", "view_delivery", "read_body", "set_switches")
    assert "Release" not in text(client.get(HELD)).partition("ng-stories")[2]
    for address, right in ((RELEASE, "release_held"), (DISCARD, "discard_held")):
        said = told(answer(client, address))
        assert f"ann may not do this without notifyguard.{right}" in said
    assert states() == ["held", "held", "held"]


def test_strangers_see_nothing(page, held):
    client = page("view_delivery")
    for address in (HELD, LIST, RELEASE, DISCARD, DISCARDED, UNDO):
        assert client.get(address).status_code == 403


def test_who_may_release_and_not_see_releases_is_told_its_number(page, held):
    ann = page("view_heldmessage", "release_held")
    response = answer(ann, f"{RELEASE}?type=invoice.sent", word="1")
    assert response.status_code == 200
    assert f"It is release {Release.objects.get().pk}" in told(response)
    assert held.recipients() == ["carol@example.com"]
