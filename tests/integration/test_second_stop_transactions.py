"""A queue that holds a transaction open while it sends, as django-mailer does."""

from __future__ import annotations

import copy
from threading import Barrier

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError, transaction

from notifyguard import ledger, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import passes, transport
from notifyguard.decision import Sending, State
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import late
from notifyguard.ledger import beside, came_back, handed_on
from notifyguard.models import Delivery, FrozenMessage
from tests.factories import UserFactory
from tests.mailbox import letter, rows, states
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"
BESIDE = pytest.mark.needs("postgresql", "mariadb")


def handed(*to, key="1", type="ticket.modified"):
    """A message as its queue brings it back, its rows as the first stop left them."""
    message = letter(*(to or [ANN]), key=key, type=type)
    given = passes.Pass(ledger.new_id(), 1, type)
    entries = [ledger.Entry(given.dispatch, type, each) for each in message.to]
    board = switchboard.board(fresh=True)
    for entry in entries:
        entry.state = State.IN_FLIGHT
        entry.key = ledger.key_of(board.salt, "", type, entry.recipient, key) if key else None
    if transaction.get_connection().in_atomic_block:
        ledger.note(entries)
    else:
        ledger.record(entries, board.generation)
    handed_on.hand_on(entries, "queue")
    return passes.with_pass(message, given, board.salt)


def stop():
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("me"))


def test_it_leaves_once(mailbox):
    message = handed()
    with transaction.atomic():
        assert message.send() == 1
        assert message.send() == 0
    assert message.send() == 0
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_of_workers_that_get_the_same_message_at_once_one_sends_it(mailbox):
    messages = [handed(f"person{number}@example.com") for number in range(5)]
    together = Barrier(4)

    def work():
        together.wait(TIMEOUT)
        return [copy.deepcopy(message).send() for message in messages]

    with threads(4) as workers:
        for _ in range(4):
            workers.start(work)
        assert sum(map(sum, workers.wait())) == 5
    assert mailbox.recipients() == [message.to[0] for message in messages]
    assert states() == ["sent"] * 5


@BESIDE
def test_the_rollback_of_the_queue_does_not_take_the_mark_back(mailbox):
    message = handed()
    with transaction.atomic():
        message.send()
        transaction.set_rollback(True)
    assert states() == ["sent"]
    assert message.send() == 0
    assert mailbox.recipients() == [ANN]


@BESIDE
def test_nor_does_it_take_back_what_is_held(mailbox):
    message = handed()
    stop()
    with transaction.atomic():
        assert message.send() == 0
        transaction.set_rollback(True)
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1


@BESIDE
def test_nor_a_proven_failure(mailbox):
    message = handed("refuse-550@example.com")
    with pytest.raises(Exception, match="550"), transaction.atomic():
        message.send()
    assert states() == ["failed"]


def test_the_callers_work_is_kept_and_its_transaction_is_whole(mailbox):
    message = handed()
    with transaction.atomic():
        user = UserFactory()
        message.send()
        another = UserFactory()
    user.refresh_from_db()
    another.refresh_from_db()


@BESIDE
def test_a_switch_set_by_another_is_seen_inside_a_long_transaction(mailbox):
    message = handed()
    with transaction.atomic():
        assert states() == ["queued"]  # the snapshot is taken
        with threads(1) as others:
            others.start(stop).result(TIMEOUT)
        assert message.send() == 0
    assert states() == ["held"]
    assert mailbox.accepted() == []


@BESIDE
@pytest.mark.parametrize("seen", [True, False])
def test_a_switch_that_the_transaction_itself_has_set_does_not_hang(mailbox, seen):
    message = handed()
    if not seen:
        Delivery.objects.all().delete()
    with transaction.atomic():
        stop()
        sent = message.send()
    # A switch that is not committed is not set yet; whether it is seen, the database says.
    assert states() == (["sent"] if sent else ["held"])
    assert mailbox.recipients() == [ANN] * sent


@BESIDE
@pytest.mark.parametrize("inside", [False, True], ids=["autocommit", "atomic"])
def test_a_switch_waits_for_the_mark_that_is_being_written(mailbox, monkeypatch, inside):
    message = handed()
    lock, flips = beside._lock, []

    def lock_and_have_a_switch_set(connection):
        generation = lock(connection)
        flips.append(others.start(stop))
        with pytest.raises(TimeoutError):
            flips[0].result(0.5)
        return generation

    monkeypatch.setattr(beside, "_lock", lock_and_have_a_switch_set)
    with threads(1) as others:
        if inside:
            with transaction.atomic():
                assert message.send() == 1
        else:
            assert message.send() == 1
    assert len(flips) == 1
    assert mailbox.recipients() == [ANN]


def test_rows_of_the_transaction_itself_are_changed_in_it(mailbox):
    with transaction.atomic():
        message = handed(key=None)
        assert [message.send(), message.send()] == [1, 0]
        assert states() == ["sent"]
    assert states() == ["sent"]
    with transaction.atomic():
        handed(BOB, key=None).send()
        transaction.set_rollback(True)
    assert [row.recipient for row in rows()] == [ANN]


class Broker(BaseEmailBackend):
    """Publishes at once, whatever becomes of the transaction, as celery_email does."""

    def send_messages(self, email_messages):
        with threads(1) as workers:
            for message in email_messages:
                copied = EmailMessage("s", "b", "a@example.com", message.to)
                copied.extra_headers = dict(message.extra_headers)
                workers.start(copied.send)
        return ["task"]


@BESIDE
def test_a_worker_that_is_faster_than_the_commit_has_it_counted_once(mailbox, monkeypatch):
    monkeypatch.setattr(transport, "QUEUES", {f"{__name__}.Broker"})
    with transaction.atomic():
        Broker().send_messages([letter(ANN)])
        assert mailbox.recipients() == [ANN]
    (row,) = rows()
    assert (row.state, row.type, row.attempt) == ("sent", "ticket.modified", 2)


@BESIDE
def test_what_was_sent_although_the_caller_rolled_back_is_recorded(mailbox, monkeypatch):
    monkeypatch.setattr(transport, "QUEUES", {f"{__name__}.Broker"})
    with transaction.atomic():
        Broker().send_messages([letter(ANN)])
        transaction.set_rollback(True)
    assert states() == ["sent"]


def test_a_dead_ledger_lets_nothing_leave_unmarked(mailbox, monkeypatch):
    message = handed()
    monkeypatch.setattr(came_back, "find", broken)
    with pytest.raises(LedgerUnavailable, match="let the queue try again"):
        message.send()
    assert mailbox.accepted() == []
    monkeypatch.undo()
    assert message.send() == 1


def broken(*arguments):
    raise DatabaseError("the disk is full")


def test_critical_mail_leaves_all_the_same_and_is_recorded_late_and_once(mailbox, monkeypatch):
    message = handed(type="auth.password_reset")
    with monkeypatch.context() as patched:
        patched.setattr(came_back, "find", broken)
        assert message.send() == 1
    assert states() == ["queued"]
    late.record_late()
    assert states() == ["queued", "sent"]
    Delivery.objects.filter(state="queued").update(wake_at=rows()[0].created_at)
    assert sweeper.sweep().uncertain == 0
    assert states() == ["sent"]
    assert message.send() == 0
    assert mailbox.recipients() == [ANN]


@pytest.mark.parametrize("to", [[BOB], [ANN, BOB]], ids=["alone", "among others"])
def test_but_not_from_a_staging_site_to_others(mailbox, monkeypatch, settings, to):
    """A copied queue beside a copied ledger that is down."""
    message = handed(*to, type="auth.password_reset")
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": [ANN]}
    with monkeypatch.context() as patched:
        patched.setattr(came_back, "find", broken)
        with pytest.raises(LedgerUnavailable, match="let the queue try again"):
            message.send()
    assert mailbox.accepted() == []
    assert message.send() == int(ANN in to)
    assert states(recipient=BOB) == ["held"]
    assert mailbox.recipients() == [each for each in to if each == ANN]


def test_but_not_what_a_switch_stops(mailbox, monkeypatch):
    message = handed(type="auth.password_reset")
    switchboard.set_switch(
        "auth.password_reset", Sending.HOLD, reason="test", actor=unrestricted("me")
    )
    switchboard.board(fresh=True)
    monkeypatch.setattr(came_back, "find", broken)
    with pytest.raises(LedgerUnavailable):
        message.send()
    assert mailbox.accepted() == []
