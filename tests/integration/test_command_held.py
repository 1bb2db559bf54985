"""held, release, discard-held: what was counted is what is moved, and the switches still hold."""

from __future__ import annotations

import tracemalloc
from collections import deque
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from notifyguard import clock, ledger, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import held
from notifyguard.ledger.held import choice, releases
from notifyguard.ledger.held.choice import Choice
from notifyguard.models import Claim, Delivery, FrozenMessage, Release
from tests.factories import DeliveryFactory
from tests.mailbox import letter, rows, states, use_server
from tests.operators import deed, events, facts, operate, what_waits

pytestmark = pytest.mark.django_db(transaction=True)


def hold(pattern="*"):
    switchboard.set_switch(pattern, Sending.HOLD, reason="a test", actor=unrestricted("ann"))


def resume(pattern="*"):
    switchboard.clear_switch(pattern, reason="a test", actor=unrestricted("ann"))


def held_row(**more):
    later = timezone.now() + timedelta(days=999)
    return DeliveryFactory(id=ledger.new_id(), state=State.HELD, wake_at=later, **more)


@pytest.fixture
def two_held(mailbox):
    """A ticket mail to Ann and an invoice to Bob, held by a switch that is gone again."""
    hold()
    letter("ann@example.com", type="ticket.modified", key="1", subject="A ticket").send()
    letter("bob@example.com", type="invoice.sent", subject="An invoice").send()
    resume()
    return mailbox


def test_held_says_what_waits_by_type_and_rule(two_held):
    said = operate("held")
    assert "ticket.modified" in said
    assert "invoice.sent" in said
    counted = [
        (each["type"], each["rule"], each["deliveries"], each["people"]) for each in facts("held")
    ]
    assert counted == [("invoice.sent", "switch", 1, 1), ("ticket.modified", "switch", 1, 1)]


def test_held_says_when_nothing_is(full):
    assert "Nothing is held" in operate("held")
    assert facts("held") == []


def test_release_sends_what_is_held_once(two_held):
    assert "2 sent" in deed("release", "--yes")
    assert sorted(two_held.subjects()) == ["A ticket", "An invoice"]
    assert states() == ["sent", "sent"]
    assert not FrozenMessage.objects.exists()
    with pytest.raises(CommandError, match=r"Nothing is held\."):
        deed("release", "--yes")


def test_what_was_released_says_by_whom_and_why(two_held):
    deed("release", "ticket.*", "--yes")
    (row,) = rows(state=State.SENT)
    assert (row.rule, row.reason) == ("released", "By ann: a test")
    # Released and taken, each under an attempt of its own: whoever held an earlier one
    # can write nothing more.
    assert row.attempt == 3
    begun, done = events()[-2:]
    number = Release.objects.get().pk
    subject = f"{number}: ticket.* (switch)"
    assert begun == ("begin_release", subject, "", "running", 1, "ann", "a test")
    assert done == ("release", subject, "held", "done", 1, "ann", "a test")


def test_a_released_key_stays_taken(two_held):
    deed("release", "--yes")
    again = letter("ann@example.com", type="ticket.modified", key="1", subject="A ticket")
    assert again.send() == 0
    assert Claim.objects.get().duplicates == 1


def test_release_of_a_pattern_leaves_the_others_held(two_held):
    deed("release", "ticket.*", "--yes")
    assert two_held.recipients() == ["ann@example.com"]
    assert states() == ["held", "sent"]


def test_release_leaves_held_what_a_switch_still_stops_and_says_so(two_held):
    hold("invoice.*")
    said = deed("release", "--yes")
    assert "1 delivery, switch: stays held: hold by database (invoice.*)" in said
    assert "1 sent" in said
    (left,) = rows(state=State.HELD)
    assert (left.type, left.rule, left.attempt) == ("invoice.sent", "switch", 1)


def test_release_later_leaves_it_to_the_sweeper(two_held):
    assert "a sweeper works it off" in deed("release", "--yes", "--later")
    assert two_held.accepted() == []
    operate("sweep")
    assert states() == ["sent", "sent"]


def test_release_says_what_failed(mailbox):
    hold()
    for number in range(2):
        letter(f"refuse-550+{number}@example.com").send()
    resume()
    with pytest.raises(CommandError, match="2 deliveries did not leave") as told:
        deed("release", "--yes")
    assert told.value.returncode == 1
    assert states() == ["failed", "failed"]


def test_a_release_while_the_server_is_away_loses_nothing(two_held, settings):
    port = two_held.sink.port
    use_server(settings, 1, timeout=2)
    with pytest.raises(CommandError, match="2 deliveries did not leave") as told:
        deed("release", "--yes")
    assert told.value.returncode == 1
    assert states() == ["queued", "queued"]
    use_server(settings, port)
    Delivery.objects.update(wake_at=timezone.now() - timedelta(minutes=1))
    sweeper.sweep()
    assert states() == ["sent", "sent"]
    assert len(two_held.accepted()) == 2


def test_a_server_that_is_away_for_a_day_finds_it_held(two_held, settings):
    use_server(settings, 1, timeout=2)
    with pytest.raises(CommandError):
        deed("release", "--yes")
    long_ago = timezone.now() - timedelta(days=2)
    Delivery.objects.update(created_at=long_ago, due_at=long_ago, wake_at=long_ago)
    sweeper.sweep()
    assert states() == ["held", "held"]
    assert FrozenMessage.objects.count() == 2


def test_release_asks_and_without_an_answer_does_nothing(two_held):
    with pytest.raises(CommandError, match="Add --yes"):
        deed("release")
    assert states() == ["held", "held"]


@pytest.mark.parametrize(
    ("words", "released"),
    [
        (["--rule", "conflict"], ["conflict"]),
        ([], ["old", "new"]),
        (["--rule", "conflict", "--rule", "switch"], ["old", "conflict", "new"]),
        (["--all-rules"], ["old", "conflict", "thaw", "new"]),
        (["--older-than", "2h"], ["old"]),
        (["--all-rules", "--older-than", "2h"], ["old", "conflict", "thaw"]),
        (["--newer-than", "2h"], ["new"]),
        (["--all-rules", "--limit", "2"], ["old", "conflict"]),
        (["ticket.*", "--older-than", "2h", "--limit", "1"], ["old"]),
    ],
    ids=str,
)
def test_who_is_chosen(full, words, released):
    names = {}
    for name, rule, hours in (
        ("old", "switch", 5),
        ("conflict", "conflict", 4),
        ("thaw", "thaw", 3),
        ("new", "switch", 1),
    ):
        row = held_row(rule=rule, created_at=timezone.now() - timedelta(hours=hours))
        names[row.id] = name
    deed("discard-held", "--yes", *words)
    discarded = Delivery.objects.filter(state=State.DISCARDED).order_by("id")
    assert [names[row.id] for row in discarded] == released


@pytest.mark.parametrize(("word", "verb"), [("release", "releases"), ("discard-held", "discards")])
def test_what_was_held_for_another_cause_is_left_and_said(mailbox, word, verb):
    hold()
    letter("ann@example.com", subject="Kept").send()
    resume()
    for rule in ("thaw", "conflict", "conflict"):
        held_row(rule=rule)
    said = deed(word, "--yes")
    left = f"2 held as conflict, 1 held as thaw were left; --rule conflict --rule thaw {verb} those"
    assert left in said
    assert Delivery.objects.filter(state=State.HELD).count() == 3
    with pytest.raises(CommandError, match=left):
        deed(word, "--yes")


def test_a_delivery_named_by_its_id_is_meant_whatever_held_it(full):
    ours, _ = held_row(rule="conflict"), held_row(rule="conflict")
    deed("discard-held", "--yes", "--id", str(ours.id))
    assert [row.id for row in rows(state=State.DISCARDED)] == [ours.id]


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["tikcet.modified"], "ticket.modified"), (["--rule", "confict"], "conflict")],
    ids=str,
)
def test_a_slip_in_what_is_meant_is_pointed_out(full, words, meant):
    held_row(rule="conflict")
    with pytest.raises(CommandError, match=f"Did you mean {meant}"):
        deed("release", "--yes", *words)


def test_a_pattern_that_means_something_held_for_a_cause_is_no_slip(full):
    held_row(rule="conflict")
    with pytest.raises(CommandError, match="1 held as conflict were left") as refused:
        deed("release", "ticket.*", "--yes")
    assert "Did you mean" not in str(refused.value)


def test_what_one_message_is_to_several_is_said_in_both_numbers(mailbox):
    hold()
    letter("ann@example.com", "bob@example.com").send()
    letter("ann@example.com").send()
    resume()
    assert "3 deliveries (2 messages) to 2 people" in deed("release", "--yes")


def test_held_is_narrowed_down_as_a_release_is(full):
    held_row(rule="conflict")
    held_row(rule="switch", type="invoice.sent")
    assert [each["rule"] for each in facts("held")] == ["switch", "conflict"]
    assert [each["rule"] for each in facts("held", "ticket.*")] == ["conflict"]
    assert [each["rule"] for each in facts("held", "--rule", "switch")] == ["switch"]


def test_each_held_delivery_is_listed_with_what_is_needed_to_decide(two_held):
    first, second = rows(state=State.HELD)
    said = operate("held", "--list")
    assert f"{first.id}  switch, " in said
    assert "ticket.modified to ann@example.com: A ticket" in said
    assert said.index(str(first.id)) < said.index(str(second.id))
    assert str(second.id) not in operate("held", "ticket.*", "--list")
    listed = facts("held", "--list", "--rule", "switch")
    assert [(each["id"], each["subject"]) for each in listed] == [
        (str(first.id), "A ticket"),
        (str(second.id), "An invoice"),
    ]


def test_a_long_list_is_cut_for_a_person_and_not_for_a_script(full, monkeypatch):
    monkeypatch.setattr("notifyguard.management.subcommands.held_messages.LISTED", 2)
    ids = [str(held_row(rule="switch").id) for _ in range(5)]
    said = operate("held", "--list")
    assert "These are the oldest 2 of 5; --limit 5 shows all." in said
    assert [one for one in ids if one in said] == ids[:2]
    assert "oldest" not in operate("held", "--list", "--limit", "5")
    assert [each["id"] for each in facts("held", "--list")] == ids


@pytest.mark.parametrize("count", [0, 1, 4, 5], ids=str)
def test_what_is_held_is_read_in_pages(full, monkeypatch, count):
    monkeypatch.setattr(choice, "PAGE", 2)
    never = clock.never()
    ids = [DeliveryFactory(id=ledger.new_id(), state=State.HELD, wake_at=never).id
           for _ in range(count)]  # fmt: skip
    assert [row.id for row in choice.chosen(Choice())] == ids
    assert [row.id for row in choice.chosen(Choice(limit=3))] == ids[:3]
    assert facts("held", "--list") == [] or count


def test_a_long_list_is_never_in_memory_as_a_whole(full, monkeypatch):
    monkeypatch.setattr(choice, "PAGE", 100)
    now, never = timezone.now(), clock.never()
    Delivery.objects.bulk_create(
        Delivery(id=ledger.new_id(), dispatch=ledger.new_id(), type="t", recipient="a@example.com",
                 state=State.HELD, instance="x", subject="s" * 200, created_at=now, changed_at=now,
                 wake_at=never)
        for _ in range(5_000)
    )  # fmt: skip
    deque(choice.chosen(Choice(limit=300)), maxlen=0)  # what is loaded once is no growth
    tracemalloc.start()
    try:
        deque(choice.chosen(Choice()), maxlen=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # all of it at once is five times as much


def test_release_by_id(two_held):
    (row,) = rows(type="invoice.sent")
    deed("release", "--yes", "--id", str(row.id))
    assert two_held.recipients() == ["bob@example.com"]


def test_case_counts_in_a_pattern_whatever_the_database_thinks(two_held):
    with pytest.raises(CommandError, match="Nothing is held"):
        deed("release", "TICKET.*", "--yes")


def test_discard_held_drops_what_is_held_and_keeps_its_key(two_held):
    said = deed("discard-held", "ticket.*", "--yes")
    assert "1 delivery discarded" in said
    (row,) = rows(state=State.DISCARDED)
    assert (row.rule, row.reason, row.wake_at) == ("discarded", "By ann: a test", None)
    assert events()[-1] == (
        "discard_held",
        "ticket.* (switch)",
        "held",
        "discarded",
        1,
        "ann",
        "a test",
    )
    again = letter("ann@example.com", type="ticket.modified", key="1", subject="A ticket")
    assert again.send() == 0
    assert two_held.accepted() == []
    # The body stays for a while: somebody may have been wrong.
    assert FrozenMessage.objects.filter(dispatch=row.dispatch).exists()


def test_a_released_conflict_leaves_once_under_a_key_of_its_own(mailbox):
    for subject in ("One", "Two"):
        letter("ann@example.com", key="1", subject=subject).send()
    deed("release", "--yes", "--rule", "conflict")
    assert letter("ann@example.com", key="1", subject="Two").send() == 0
    assert mailbox.subjects() == ["One", "Two"]


def test_who_stops_in_the_middle_has_discarded_only_what_was_yielded(full, monkeypatch):
    monkeypatch.setattr(held, "BATCH", 2)
    for _ in range(5):
        held_row()
    batches = held.discard(what_waits(), reason="x", actor=unrestricted("ann"))
    assert next(batches) == 2
    batches.close()
    assert states() == ["discarded"] * 2 + ["held"] * 3
    assert [event[4] for event in events()] == [2]


def test_a_row_that_somebody_else_has_moved_is_left_alone(full):
    ids = [held_row().id for _ in range(2)]
    what = what_waits()
    bob, ann = unrestricted("bob"), unrestricted("ann")
    list(held.discard(what_waits(ids[0]), reason="x", actor=bob))
    list(held.discard(what, reason="x", actor=ann))
    assert states() == ["discarded", "discarded"]
    assert [(event[4], event[5]) for event in events()] == [(1, "bob"), (1, "ann")]


def test_nobody_moves_anything_without_a_reason(full):
    held_row()
    what = what_waits()
    for deed_ in (held.discard, releases.begin):
        with pytest.raises(NotAllowed, match="reason"):
            deed_(what, reason=" ", actor=unrestricted("ann"))
    assert states() == ["held"]


def test_release_shows_on_a_terminal_how_far_it_is(two_held):
    said = operate("release", "--yes", "--reason", "x", terminal=True)
    assert "] 2/2 released" in said
