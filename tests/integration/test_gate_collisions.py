"""A key that somebody holds: what becomes of the message that wanted it, in any race."""

from __future__ import annotations

import logging
import re

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

import notifyguard
from notifyguard import ledger, sweeper, switchboard
from notifyguard.decision import State
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.ledger import takeover
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.factories import ClaimFactory, DeliveryFactory
from tests.mailbox import batch, letter, outcomes, rows, states
from tests.operators import deed

pytestmark = pytest.mark.django_db(transaction=True)


def hello(*to, subject="Hello", **more):
    return letter(*(to or ["ann@example.com"]), key="1", subject=subject, **more)


def key_to(recipient="ann@example.com"):
    return ledger.key_of(switchboard.board().salt, "", "ticket.modified", recipient, "1")


def dead_batch(recipient="ann@example.com"):
    """What a batch leaves that was killed between its claims and its marks."""
    row = DeliveryFactory(state=State.CLAIMED, recipient=recipient, key=key_to(recipient))
    ClaimFactory(key=row.key, delivery=row.id)
    return row


# In the caller's transaction: found out when the message is about to leave.


def test_other_content_under_a_key_inside_atomic_is_held_and_alarmed(mailbox, caplog):
    hello().send()
    with caplog.at_level(logging.ERROR, "notifyguard"), transaction.atomic():
        hello(subject="Something else").send()
    assert mailbox.subjects() == ["Hello"]
    (held,) = rows(state=State.HELD)
    assert held.rule == "conflict"
    assert FrozenMessage.objects.filter(dispatch=held.dispatch).exists()
    assert "conflict" in caplog.text


def test_the_same_conflict_inside_atomic_again_is_a_duplicate_of_the_held_one(mailbox):
    hello().send()
    for _ in range(3):
        with transaction.atomic():
            hello(subject="Something else").send()
    assert states() == ["duplicate", "duplicate", "held", "sent"]
    hello(subject="Something else").send()  # inline too
    assert states() == ["duplicate", "duplicate", "held", "sent"]


def test_what_the_sweeper_finds_in_conflict_is_held(mailbox):
    with transaction.atomic():
        hello(subject="Something else").send()
        transaction.get_connection().run_on_commit.clear()  # as if this process died
    hello().send()
    Delivery.objects.filter(state=State.QUEUED).update(wake_at=rows()[0].created_at)
    sweeper.sweep()
    assert mailbox.subjects() == ["Hello"]
    assert states() == ["held", "sent"]


def test_a_released_conflict_leaves_once(mailbox):
    hello().send()
    with transaction.atomic():
        hello(subject="Something else").send()
    deed("release", "--rule", "conflict", "--yes")
    sweeper.sweep()
    assert mailbox.subjects() == ["Hello", "Something else"]
    with transaction.atomic():
        hello(subject="Something else").send()
    assert mailbox.subjects() == ["Hello", "Something else"]


def test_an_observed_duplicate_inside_atomic_leaves(mailbox, settings):
    settings.NOTIFYGUARD = {"IN_TESTS": "full", "MODE": "observe"}
    hello().send()
    with transaction.atomic():
        hello().send()
    assert mailbox.subjects() == ["Hello", "Hello"]
    assert sorted(row.rule for row in rows()) == ["", "observed duplicate"]


def test_a_queued_duplicate_says_why_and_is_counted(mailbox):
    hello().send()
    with transaction.atomic():
        hello().send()
    (duplicate,) = rows(state=State.DUPLICATE)
    assert duplicate.rule == "once"
    assert Claim.objects.get().duplicates == 1


# Between the look and the claim somebody else was faster.


@pytest.fixture
def overtaken(monkeypatch):
    """The other message is sent after our look has found its key free."""

    def by(other):
        look, overtaking = ledger.look, [other]

        def looked(keys):
            found = look(keys)
            if keys and overtaking:
                overtaking.pop().send()
            return found

        monkeypatch.setattr(ledger, "look", looked)

    return by


def test_who_loses_the_race_with_the_same_content_is_a_duplicate(mailbox, overtaken):
    overtaken(hello())
    late = hello()
    assert late.send() == 0
    assert outcomes(late) == {"ann@example.com": "duplicate"}
    assert mailbox.subjects() == ["Hello"]
    assert Claim.objects.get().duplicates == 1


def test_who_loses_the_race_with_other_content_is_in_conflict(mailbox, overtaken):
    overtaken(hello())
    late = hello(subject="Something else")
    assert late.send() == 0
    assert outcomes(late) == {"ann@example.com": "held"}
    assert mailbox.subjects() == ["Hello"]
    assert states() == ["held", "sent"]


def test_who_loses_one_recipient_in_the_race_sends_to_the_others(mailbox, overtaken):
    overtaken(hello())
    late = hello("ann@example.com", "bob@example.com")
    assert late.send() == 1
    assert outcomes(late) == {"ann@example.com": "duplicate", "bob@example.com": "sent"}
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]


def test_who_loses_the_race_while_a_switch_holds_is_a_duplicate(mailbox, overtaken):
    deed("hold", "ticket.*")
    overtaken(hello())
    late = hello()
    assert late.send() == 0
    assert outcomes(late) == {"ann@example.com": "duplicate"}
    assert states() == ["held"]


def test_a_batch_takes_back_what_another_batch_took_over_and_did_not_send(mailbox, monkeypatch):
    mark = ledger.mark
    marks = []

    def other_batch_dies():
        entry = ledger.Entry(
            dispatch=ledger.new_id(),
            type="ticket.modified",
            recipient="bob@example.com",
            key=key_to("bob@example.com"),
            state=State.CLAIMED,
        )
        assert ledger.record([entry], switchboard.board().generation) == [entry]

    def marked(*arguments, **more):
        marks.append(arguments)
        if len(marks) == 2:
            other_batch_dies()
        return mark(*arguments, **more)

    monkeypatch.setattr(ledger, "mark", marked)
    assert batch(hello("ann@example.com"), hello("bob@example.com")) == 2
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]
    assert states() == ["sent", "sent"]
    assert rows(recipient="bob@example.com")[0].attempt == 3


# What a switch stops.


def test_other_content_is_a_conflict_while_a_switch_holds(mailbox):
    deed("hold", "ticket.*")
    hello().send()
    hello(subject="Something else").send()
    assert sorted(row.rule for row in rows(state=State.HELD)) == ["conflict", "switch"]
    assert FrozenMessage.objects.count() == 2


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("hold", "ticket.*"), "held"),
        (("set", "ticket.*", "discard", "--until", "1h"), "discarded"),
    ],
    ids=["hold", "discard"],
)
def test_what_is_stopped_takes_the_key_of_a_dead_batch_and_is_kept(mailbox, words, state):
    dead_batch()
    deed(*words)
    assert hello().send() == 0
    (row,) = rows()
    assert (row.state, row.rule, row.attempt) == (state, "switch", 2)
    assert FrozenMessage.objects.filter(dispatch=row.dispatch).exists()
    assert Claim.objects.get().delivery == row.id


def test_what_was_held_over_a_dead_batch_is_released_and_leaves(mailbox):
    dead_batch()
    deed("hold", "ticket.*")
    hello().send()
    deed("resume", "ticket.*")
    deed("release", "--yes")
    sweeper.sweep()
    assert mailbox.subjects() == ["Hello"]
    assert states() == ["sent"]


def test_every_recipient_in_conflict_is_held_where_a_person_finds_it(mailbox):
    for recipient in ("ann@example.com", "bob@example.com"):
        hello(recipient).send()
    hello("ann@example.com", "bob@example.com", subject="Something else").send()
    held = rows(state=State.HELD)
    assert [row.wake_at is not None for row in held] == [True, True]
    assert FrozenMessage.objects.count() == 1


# What ends frees its key, and nothing else.


def test_a_resolved_recipient_does_not_keep_the_keys_of_the_others(mailbox):
    entries = [
        ledger.Entry(
            dispatch=ledger.new_id(),
            type="ticket.modified",
            recipient=recipient,
            key=key_to(recipient),
            state=State.IN_FLIGHT,
        )
        for recipient in ("ann@example.com", "bob@example.com")
    ]
    ledger.record(entries, switchboard.board().generation)
    Delivery.objects.filter(id=entries[0].id).update(state=State.SENT)
    for entry in entries:
        entry.state = State.FAILED
    ledger.confirm(entries)
    assert [claim.key for claim in Claim.objects.all()] == [entries[0].key]
    assert states() == ["failed", "sent"]


def test_what_was_recorded_is_taken_back_when_the_rest_cannot_be(mailbox, monkeypatch):
    dead_batch("bob@example.com")

    def unreachable(*arguments):
        raise OperationalError("gone")

    monkeypatch.setattr(takeover, "take_over", unreachable)
    with pytest.raises(LedgerUnavailable):
        hello("ann@example.com", "bob@example.com").send()
    assert states() == ["claimed"]
    assert mailbox.accepted() == []


def test_keys_are_freed_in_one_order_whatever_the_order_of_the_rows(mailbox):
    entries = [
        ledger.Entry(
            dispatch=ledger.new_id(),
            type="ticket.modified",
            recipient=f"{number}@example.com",
            key=key_to(f"{number}@example.com"),
            state=State.CLAIMED,
        )
        for number in range(5)
    ]
    ledger.record(entries, switchboard.board().generation)
    with CaptureQueriesContext(connection) as queries:
        ledger.withdraw(entries)
    freed = [each["sql"] for each in queries if "notifyguard_claim" in each["sql"]]
    keys = re.findall(r"idempotency_key\W+= '?([0-9a-f-]+)", " ".join(freed))
    assert keys == sorted(keys)
    assert len(set(keys)) == 5


def test_what_is_told_to_the_caller_is_what_the_ledger_says(mailbox):
    hello().send()
    again = hello("ann@example.com", "bob@example.com", subject="Something else")
    again.send()
    told = {each.recipient: each.rule for each in notifyguard.outcome(again)}
    assert told == {"ann@example.com": "conflict", "bob@example.com": ""}
