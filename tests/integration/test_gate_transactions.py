"""Inside the caller's transaction: what is rolled back does not leave, what is not does."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from notifyguard.exceptions import InTransaction
from notifyguard.models import Claim, Control, FrozenMessage
from tests.factories import UserFactory
from tests.mailbox import batch, letter, outcomes, rows, states, use_server

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def undone():
    """A transaction, or a savepoint inside one, that ends in a rollback."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_a_keyed_message_is_queued_and_leaves_on_commit(mailbox):
    message = letter("ann@example.com", key="1", subject="Hello")
    with transaction.atomic():
        assert message.send() == 1
        assert outcomes(message) == {"ann@example.com": "queued"}
        assert states() == ["queued"]
        assert not Claim.objects.exists()
        assert mailbox.accepted() == []
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert not FrozenMessage.objects.exists()


def test_what_is_rolled_back_notifies_nobody(mailbox):
    with undone():
        letter(key="1").send()
    assert mailbox.accepted() == []
    assert rows() == []
    assert not FrozenMessage.objects.exists()


def test_a_savepoint_that_is_rolled_back_notifies_nobody(mailbox):
    with transaction.atomic():
        letter("kept@example.com", key="1").send()
        with undone():
            letter("undone@example.com", key="1").send()
    assert mailbox.recipients() == ["kept@example.com"]
    assert states() == ["sent"]


def test_the_same_key_twice_in_a_transaction_leaves_once(mailbox):
    with transaction.atomic():
        for _ in range(2):
            letter("ann@example.com", key="1", subject="Hello").send()
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["duplicate", "sent"]
    assert not FrozenMessage.objects.exists()


def test_a_key_that_was_used_before_does_not_leave_again(mailbox):
    letter("ann@example.com", key="1", subject="Hello").send()
    with transaction.atomic():
        assert letter("ann@example.com", key="1", subject="Hello").send() == 1
    assert mailbox.recipients() == ["ann@example.com"]


def test_recipients_whose_key_is_taken_are_left_off_on_commit(mailbox):
    letter("ann@example.com", key="1", subject="Hello").send()
    with transaction.atomic():
        letter("ann@example.com", "bob@example.com", key="1").send()
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]


def test_an_object_that_is_sent_again_and_again_reaches_everybody(mailbox):
    message = letter(key="1")
    people = [f"person{number}@example.com" for number in range(3)]
    with transaction.atomic():
        for person in people:
            message.to = [person]
            message.subject = f"To {person}"
            message.send()
        message.to = ["nobody@example.com"]
    assert mailbox.recipients() == people
    assert sorted(mailbox.subjects()) == [f"To {person}" for person in people]


def test_an_unkeyed_message_goes_at_once_and_its_row_lives_in_the_transaction(mailbox, caplog):
    with undone():
        with caplog.at_level(logging.INFO, "notifyguard"):
            letter("ann@example.com").send()
        assert mailbox.recipients() == ["ann@example.com"]
        assert states() == ["sent"]
    assert rows() == []
    assert "sent inside a transaction" in caplog.text


def test_a_type_can_be_deferred_without_a_key(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"in_transaction": "defer"}}}
    with transaction.atomic():
        letter("ann@example.com").send()
        assert mailbox.accepted() == []
    assert mailbox.recipients() == ["ann@example.com"]


def test_a_type_can_go_at_once_with_a_key(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"in_transaction": "now"}}}
    with transaction.atomic():
        letter("ann@example.com", key="1", subject="Hello").send()
        assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


def test_a_type_can_be_forbidden_in_a_transaction(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"in_transaction": "error"}}}
    with transaction.atomic():
        with pytest.raises(InTransaction, match=r"ticket\.modified.*on_commit"):
            batch(letter(type="other"), letter())
        UserFactory()
    assert mailbox.accepted() == []
    assert letter().send() == 1


def test_a_failure_after_the_commit_reaches_the_ledger_and_not_the_caller(mailbox, caplog):
    ran = []
    with caplog.at_level(logging.ERROR, "notifyguard"), transaction.atomic():
        letter("refuse-550@example.com", key="1").send()
        transaction.on_commit(lambda: ran.append("the caller's own"))
    assert ran == ["the caller's own"]
    assert states() == ["failed"]
    assert not Claim.objects.exists()
    assert "failed" in caplog.text
    assert "refuse-550@" not in caplog.text  # nor anything else of the message


def test_what_meets_a_server_that_is_away_on_commit_is_tried_again(mailbox, settings):
    with transaction.atomic():
        use_server(settings, 1, timeout=2)
        letter(key="1").send()
    assert states() == ["queued"]
    assert FrozenMessage.objects.exists()


def test_one_of_several_recipients_is_refused_on_commit(mailbox):
    with transaction.atomic():
        letter("ann@example.com", "refuse-550@example.com", key="1").send()
    assert {row.recipient: row.state for row in rows()} == {
        "ann@example.com": "sent",
        "refuse-550@example.com": "failed",
    }


def test_a_batch_in_a_transaction_leaves_on_commit(mailbox):
    with transaction.atomic():
        assert batch(letter(key="1"), letter(key="2")) == 2
        assert mailbox.accepted() == []
    assert len(mailbox.accepted()) == 2


def test_what_is_queued_obeys_the_switches_of_the_time_it_leaves(mailbox, settings):
    with transaction.atomic():
        letter("ann@example.com", key="1", subject="Hello").send()
        settings.NOTIFYGUARD |= {"SENDING": "hold"}
    assert mailbox.accepted() == []
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1


def test_a_message_held_in_a_transaction_is_kept_with_it(mailbox, settings):
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    with transaction.atomic():
        assert letter(key="1").send() == 0
    with undone():
        letter(key="2").send()
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1


def test_with_autocommit_off_the_row_waits_for_the_sweeper(mailbox):
    transaction.set_autocommit(False)
    try:
        assert letter("ann@example.com", key="1", subject="Hello").send() == 1
        transaction.commit()
        UserFactory()  # SQLite begins a transaction at the first write, not at a savepoint
        letter("bob@example.com", key="1").send()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert mailbox.accepted() == []
    assert states() == ["queued"]


def test_a_ledger_that_began_in_a_transaction_rolled_back_begins_again(mailbox):
    Control.objects.all().delete()
    with undone():
        letter(key="1").send()
    assert [letter("ann@example.com", key="1", subject="A").send() for _ in range(2)] == [1, 0]


def test_a_key_counts_in_the_transaction_that_the_ledger_begins_in(mailbox):
    Control.objects.all().delete()
    with transaction.atomic():
        for _ in range(2):
            letter("ann@example.com", key="1", subject="Hello").send()
    assert mailbox.recipients() == ["ann@example.com"]


@pytest.mark.django_db
def test_in_a_testcase_nothing_waits_for_a_commit_that_will_not_come(full):
    # In a test's transaction the server is a list: no other process could see the rows.
    from django.core import mail

    assert connection.in_atomic_block
    with transaction.atomic():
        letter("ann@example.com", key="1", subject="Hello").send()
        assert [message.to for message in mail.outbox] == [["ann@example.com"]]
        assert states() == ["sent"]
