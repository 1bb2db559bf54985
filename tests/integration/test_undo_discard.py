"""undo-discard: what was discarded is held again, and still leaves at most once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

import notifyguard
from notifyguard import blocked, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.ledger import retention
from notifyguard.ledger.held import undoing
from notifyguard.ledger.held.choice import Choice
from notifyguard.models import Claim, Delivery, FrozenContent, FrozenMessage
from tests.mailbox import letter, rows, states
from tests.operators import deed, events

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"
ME = unrestricted("me")


def hold():
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME)


def resume():
    switchboard.clear_switch("*", reason="test", actor=ME)


@pytest.fixture
def discarded(mailbox):
    """Two messages, one with a key, that somebody has discarded."""
    hold()
    letter(ANN, key="1", subject="A").send()
    letter(BOB, subject="B").send()
    resume()
    deed("discard-held", "--yes")
    return mailbox


def undo(*words):
    return deed("undo-discard", *words, "--yes")


def prune():
    for part in retention.parts():
        list(part.prune())


def grow_old(days=4):
    before = timezone.now() - timedelta(days=days)
    Delivery.objects.update(created_at=before, changed_at=before)
    FrozenMessage.objects.update(frozen_at=before)


def test_what_was_discarded_is_held_again_and_can_be_released(discarded):
    assert "2 deliveries held again. Nothing was sent." in undo()
    assert discarded.accepted() == []
    assert {(row.state, row.rule) for row in rows()} == {("held", "undone")}
    assert rows()[0].reason == "Discarded, and had back by ann: a test"
    what = ("undo_discard", "* (discarded, switch)", "discarded", "held")
    assert events()[-1] == (*what, 2, "ann", "a test")
    deed("release", "--rule", "undone", "--yes")
    assert sorted(discarded.subjects()) == ["A", "B"]


def test_a_switch_to_discard_is_undone_too(mailbox):
    until = timezone.now() + timedelta(hours=1)
    switchboard.set_switch("*", Sending.DISCARD, reason="test", actor=ME, expires_at=until)
    letter(ANN, key="1").send()
    resume()
    undo()
    assert states() == ["held"]


def test_its_key_stays_taken_all_the_while(discarded):
    letter(ANN, key="1", subject="A").send()
    assert discarded.accepted() == []
    undo()
    letter(ANN, key="1", subject="A").send()
    deed("release", "--rule", "undone", "--yes")
    letter(ANN, key="1", subject="A").send()
    assert sorted(discarded.subjects()) == ["A", "B"]


def test_a_key_that_was_left_free_is_taken_again(mailbox):
    blocked.block([ANN], reason="bounced", actor=ME)
    letter(ANN, key="1", subject="A").send()
    blocked.unblock([ANN], reason="test", actor=ME)
    undo("--rule", "blocked")
    assert Claim.objects.get().delivery == rows()[0].id
    letter(ANN, key="1", subject="A").send()
    assert mailbox.accepted() == []
    deed("release", "--rule", "undone", "--yes")
    assert mailbox.subjects() == ["A"]


def test_what_was_sent_meanwhile_with_its_key_stays_discarded(mailbox):
    blocked.block([ANN], reason="bounced", actor=ME)
    letter(ANN, key="1", subject="A").send()
    letter(ANN, key="1", subject="A").send()
    blocked.unblock([ANN], reason="test", actor=ME)
    letter(ANN, key="1", subject="A").send()
    assert "2 deliveries stay discarded: another delivery with their key" in undo("--all-rules")
    assert states() == ["discarded", "discarded", "sent"]


def test_of_two_with_one_key_one_is_had_back(mailbox):
    blocked.block([ANN], reason="bounced", actor=ME)
    letter(ANN, key="1", subject="A").send()
    letter(ANN, key="1", subject="A").send()
    undo("--all-rules")
    assert states() == ["discarded", "held"]


def test_only_what_is_meant(discarded):
    assert "1 delivery held again" in undo("--to", BOB)
    assert states(recipient=ANN) == ["discarded"]
    with pytest.raises(CommandError, match=r"Kept are: 1 by discarded \(--rule discarded\)"):
        undo("--rule", "blocked")
    undo("--id", str(rows(recipient=ANN)[0].id))
    assert states() == ["held", "held"]


def test_a_limit_takes_so_many(discarded):
    undo("--limit", "1")
    assert states() == ["discarded", "held"]


def test_a_preview_changes_nothing(discarded):
    assert "discarded" in deed("undo-discard", "--preview")
    assert states() == ["discarded", "discarded"]


def test_what_was_sent_suppressed_or_cancelled_is_no_part_of_it(discarded):
    letter(ANN).send()
    with notifyguard.suppressed(reason="test"):
        letter(ANN).send()
    hold()
    letter(ANN, key="9").send()
    notifyguard.cancel(type="ticket.modified", key="9")
    assert len(list(undoing.discarded(Choice()))) == 2


def test_when_its_body_is_pruned_it_is_too_late(discarded):
    grow_old()
    prune()
    with pytest.raises(CommandError, match=r"Nothing that was discarded is kept\. .* for 3 days"):
        undo()


def test_what_was_had_back_is_not_pruned_by_what_found_it_before(discarded):
    """As two processes: prune has looked, then somebody undoes, then prune deletes."""
    dispatch = rows()[0].dispatch
    FrozenContent.objects.create(dispatch=dispatch, digest="x", content=b"x")
    grow_old()
    (bodies,) = [part for part in retention.parts() if part.name == "bodies"]
    keys = [key for key, _ in bodies._batch(None)]
    assert len(keys) == 2
    undo()
    bodies._end(keys)
    assert FrozenMessage.objects.count() == 2
    assert FrozenContent.objects.count() == 1


def test_a_message_to_two_keeps_its_body_while_one_can_be_had_back(mailbox):
    blocked.block([ANN], reason="bounced", actor=ME)
    hold()
    letter(ANN, BOB).send()
    resume()
    deed("release", "--yes")
    assert mailbox.recipients() == [BOB]
    undo("--all-rules")
    blocked.unblock([ANN], reason="test", actor=ME)
    deed("release", "--rule", "undone", "--yes")
    assert mailbox.recipients() == [ANN, BOB]


def test_many_are_undone_in_short_transactions(discarded, monkeypatch):
    monkeypatch.setattr(undoing, "PAGE", 1)
    assert [each.held for each in undoing.undo_discard(Choice(), reason="x", actor=ME)] == [1, 1]
