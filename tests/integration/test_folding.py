"""Of what is held and says the same, or takes another's place, one leaves; the rest ends."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.mail import send_mail
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.ledger.held import folding, pace, releases
from notifyguard.ledger.held.folding import Leaving
from tests.mailbox import letter, rows, states
from tests.operators import deed, facts, what_waits

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"
ME = unrestricted("me")
CONTENT = uuid4()


@pytest.fixture
def held(mailbox):
    """Everything that is sent is held, until ``go_on``."""
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME)
    return mailbox


def go_on():
    switchboard.clear_switch("*", reason="test", actor=ME)


def release(*words):
    go_on()
    return deed("release", "--yes", *words)


def send(to=ANN, subject="A", **more):
    about = {name: more.pop(name) for name in ("key", "supersedes", "send_at") if name in more}
    message = letter(to, subject=subject, **more)
    notifyguard.identify(message, more.get("type", "ticket.modified"), **about)
    message.send()


# Exact repeats.


def test_of_exact_repeats_one_leaves_and_the_others_name_it(held):
    for _ in range(3):
        send()
    assert "2 discarded: another takes their place, or says the same" in release()
    assert held.subjects() == ["A"]
    kept, *folded = rows()
    assert kept.state == "sent"
    assert {(row.state, row.rule) for row in folded} == {("discarded", "repeat")}
    assert folded[0].reason == f"It says the same as delivery {kept.id}, which was released."


def test_the_preview_says_so_and_changes_nothing(held):
    for _ in range(3):
        send()
    go_on()
    assert "2 deliveries, repeat: discarded: one that says the same leaves" in deed(
        "release", "--preview"
    )
    found = facts("release", "--preview")["findings"]
    assert [(each["name"], each["deliveries"]) for each in found] == [("repeat", 2)]
    assert states() == ["held"] * 3


def test_keep_repeats_sends_all(held):
    for _ in range(3):
        send()
    assert "repeat" not in release("--keep-repeats")
    assert held.subjects() == ["A"] * 3


@pytest.mark.parametrize(
    "other",
    [
        {"to": BOB},
        {"subject": "B"},
        {"body": "another"},
        {"type": "ticket.closed"},
        {"attachments": [("a.txt", "x", "text/plain")]},
        {"from_email": "other@example.com"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_anything_leaves(held, other):
    send(key="1")
    send(**{"key": "2"} | other)
    release("--all-rules")
    assert states() == ["sent", "sent"]


def test_attachments_that_differ_are_no_repeat(held):
    for content in ("x", "y", "x"):
        send(attachments=[("a.txt", content, "text/plain")])
    release()
    assert states() == ["discarded", "sent", "sent"]


def test_the_same_under_another_key_is_a_repeat(held):
    send(key="1")
    send(key="2")
    release()
    assert held.subjects() == ["A"]
    assert rows(state="discarded")[0].rule == "repeat"


def test_a_repeat_keeps_its_key_so_that_a_retry_sends_nothing(held):
    send(key="1")
    send(key="2")
    release()
    send(key="2")
    assert held.subjects() == ["A"]


def test_repeats_are_found_across_the_steps_of_a_release(held):
    for n in range(6):
        send(subject=f"{n % 2}")
    go_on()
    assert "THE CANARY" not in deed("release", "--yes", "--canary", "1")
    number = str(releases.recent()[0].pk)
    deed("release", "--continue", number)
    assert sorted(held.subjects()) == ["0", "1"]
    assert releases.find(int(number)).folded == 4


def test_a_release_of_nothing_but_repeats_goes_on_by_itself(held, monkeypatch):
    """A step in which nothing was let go is not the end."""
    monkeypatch.setattr(pace, "PORTION", 2)
    for n in range(9):
        send(subject="A" if n < 8 else "B")
    release()
    assert sorted(held.subjects()) == ["A", "B"]


def test_recipients_that_a_database_takes_for_one_are_two():
    """MariaDB compares without accents."""
    one, other = (
        Leaving(uuid4(), "a", to, CONTENT, None, "switch") for to in (ANN, "ánn@example.com")
    )
    assert one.content != other.content
    assert one.content == one._replace(id=uuid4()).content
    assert one.content != one._replace(type="b").content
    assert one._replace(fingerprint=None).content is None


def test_what_was_folded_can_be_had_back(held):
    send()
    send()
    release()
    deed("undo-discard", "--rule", "repeat", "--yes")
    deed("release", "--rule", "undone", "--yes")
    assert held.subjects() == ["A", "A"]


def test_what_was_sent_before_is_no_repeat(held):
    go_on()
    send()
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME)
    send()
    release()
    assert held.subjects() == ["A", "A"]


def test_everything_that_is_kept_has_its_fingerprint(held):
    send()
    go_on()
    with transaction.atomic():
        send(key="1")
    send(key="2", send_at=timezone.now() + timedelta(hours=1))
    assert all(row.fingerprint for row in rows())


# Supersedes.


def test_of_ten_that_take_each_others_place_the_last_is_released(held):
    for n in range(10):
        send(subject=f"Version {n}", key=str(n), supersedes="ticket:42")
    release()
    assert held.subjects() == ["Version 9"]
    *before, last = rows()
    assert {(row.state, row.rule) for row in before} == {("discarded", "superseded")}
    assert {row.reason for row in before} == {f"Delivery {last.id}, which waits, takes its place."}


def test_the_preview_counts_them_once(held):
    for subject in ("A", "A", "B"):
        send(subject=subject, supersedes="ticket:42")
    go_on()
    found = facts("release", "--preview")["findings"]
    assert [(each["name"], each["deliveries"]) for each in found] == [("superseded", 2)]


def test_only_for_the_same_person_type_and_text(held):
    send(supersedes="ticket:42", subject="1")
    send(supersedes="ticket:42", subject="2", to=BOB)
    send(supersedes="ticket:42", subject="3", type="ticket.closed")
    send(supersedes="ticket:43", subject="4")
    send(subject="5")
    release()
    assert sorted(held.subjects()) == ["1", "2", "3", "4", "5"]


def test_only_in_the_same_namespace(held, settings):
    for space in ("one", "two"):
        settings.NOTIFYGUARD |= {"NAMESPACE": lambda space=space: space}
        send(supersedes="ticket:42", subject=space)
    release()
    assert sorted(held.subjects()) == ["one", "two"]


def test_one_that_is_released_alone_ends_where_a_later_one_waits(held):
    send(subject="old", supersedes="ticket:42")
    send(subject="new", supersedes="ticket:42")
    go_on()
    deed("release", "--yes", "--id", str(rows()[0].id))
    assert held.accepted() == []
    assert [(row.subject, row.state) for row in rows()] == [("old", "discarded"), ("new", "held")]


def test_one_that_something_else_holds_takes_nobodys_place(held):
    send(subject="good", supersedes="ticket:42")
    go_on()
    send(subject="", body="", supersedes="ticket:42")
    assert [row.rule for row in rows()] == ["switch", "blank"]
    assert facts("release", "--preview", "--rule", "switch")["findings"] == []
    deed("release", "--yes", "--rule", "switch")
    assert held.subjects() == ["good"]
    assert states() == ["held", "sent"]


def test_one_that_another_rule_holds_takes_the_place_if_the_same_release_lets_it_go(held):
    send(subject="old", supersedes="ticket:42")
    go_on()
    send(subject="", body="", supersedes="ticket:42")
    found = facts("release", "--all-rules", "--preview")["findings"]
    assert ("superseded", 1) in [(each["name"], each["deliveries"]) for each in found]
    deed("release", "--yes", "--all-rules")
    old, new = rows()
    assert (old.state, old.rule, new.state) == ("discarded", "superseded", "sent")


@pytest.mark.parametrize("newest", [1, 2, 500])
def test_the_last_is_found_however_few_are_looked_at_at_a_time(held, monkeypatch, newest):
    monkeypatch.setattr(folding, "NEWEST", newest)
    for number in range(3):
        for ticket in ("41", "42"):
            send(subject=f"{ticket}, {number}", supersedes=f"ticket:{ticket}")
    go_on()
    for _ in range(2):
        send(subject="", body="", supersedes="ticket:42")
    found = facts("release", "--preview", "--rule", "switch")["findings"]
    assert [(each["name"], each["deliveries"]) for each in found] == [("superseded", 4)]
    deed("release", "--yes", "--rule", "switch")
    assert held.subjects() == ["41, 2", "42, 2"]
    assert states() == ["discarded"] * 4 + ["held"] * 2 + ["sent"] * 2


def test_of_many_with_one_mark_few_are_read(held, monkeypatch):
    """A loop that ran away leaves a hundred thousand; each step would read them all."""
    monkeypatch.setattr(folding, "NEWEST", 2)
    for number in range(9):
        send(subject=f"{number}", supersedes="ticket:42")
    what = what_waits()
    leaving = [
        Leaving(*(getattr(row, name) for name in Leaving._fields)) for row in rows(state="held")
    ]
    with CaptureQueriesContext(connection) as asked:
        ended = list(folding.superseded(connection, what, leaving))
    assert [row.subject for row in rows() if row.id in {each.id for each, _ in ended}] == [
        str(number) for number in range(8)
    ]
    assert len(asked) == 2


def test_what_left_is_not_touched_and_takes_nobodys_place(held):
    send(subject="old", supersedes="ticket:42")
    go_on()
    send(subject="new", supersedes="ticket:42")
    deed("release", "--yes")
    assert held.subjects() == ["new", "old"]


def test_what_is_for_a_time_to_come_takes_nobodys_place_yet(held):
    send(subject="now", supersedes="ticket:42")
    soon = timezone.now() + timedelta(hours=1)
    send(subject="later", supersedes="ticket:42", send_at=soon, key="1")
    release()
    assert held.subjects() == ["now"]


def test_a_block_says_it_for_all_inside(held):
    with notifyguard.notification("ticket.modified", supersedes="ticket:42"):
        for subject in ("1", "2"):
            send_mail(subject, "body", "me@example.com", [ANN])
    release()
    assert held.subjects() == ["2"]


@pytest.mark.parametrize("wrong", ["", "x" * 1001, b"x", 1.5, True, object()])
def test_it_is_checked_as_a_key_is(wrong):
    with pytest.raises((TypeError, ValueError), match="supersedes"):
        notifyguard.notification("ticket.modified", supersedes=wrong)


def test_two_releases_at_once_end_none_in_favour_of_one_that_ends(held):
    for n in range(4):
        send(subject=str(n), supersedes="ticket:42")
    go_on()
    first = [str(row.id) for row in rows()[:2]]
    deed("release", "--yes", "--id", *first)
    assert held.accepted() == []
    deed("release", "--yes")
    assert held.subjects() == ["3"]
