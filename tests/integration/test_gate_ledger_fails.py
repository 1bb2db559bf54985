"""A batch whose ledger fails half-way: what left is on record, what did not is said, none twice."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import connection, connections
from django.utils import timezone

import notifyguard
from notifyguard import sweeper
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import late
from notifyguard.models import Claim, Delivery
from tests.mailbox import batch, letter, rows
from tests.refusals import refusing

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = [f"person{number}@example.com" for number in range(5)]
THIRD = f"NEW.state = 'in_flight' AND NEW.recipient = '{PEOPLE[2]}'"
OTHER = "other"  # a connection of somebody else
DISCONNECT = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
IMPATIENT = {"postgresql": "SET lock_timeout = '50ms'", "mysql": "SET innodb_lock_wait_timeout = 0"}


def letters(people=PEOPLE, **more):
    """The same content each time: sent again it is a duplicate, not a conflict."""
    return [letter(person, key="1", subject="Hello", **more) for person in people]


def by_recipient():
    return {row.recipient: row.state for row in rows()}


def when_built(happens, like):
    """A message of the same content at which something happens, once: when it is built."""

    class Message(EmailMessage):
        happened = False

        def message(self, *args, **kwargs):
            if not self.happened:
                self.happened = True
                happens()
            return super().message(*args, **kwargs)

    message = Message(like.subject, like.body, like.from_email, like.to)
    notifyguard.identify(message, "ticket.modified", key="1")
    return message


@contextmanager
def somebody_else():
    """A connection beside the test's own, that can cut or lock it out."""
    other = connections.create_connection("default")
    other.set_autocommit(True)
    try:
        yield other
    finally:
        other.close()


@contextmanager
def cut_at_the_third(messages, *, for_good):
    """Cut our connection when the third message is built; the database may stay away."""
    with connection.cursor() as cursor:
        cursor.execute(OWN_ID[connection.vendor])
        (own,) = cursor.fetchone()
    port = connection.settings_dict["PORT"]

    def cut():
        with somebody_else() as other, other.cursor() as cursor:
            cursor.execute(DISCONNECT[other.vendor].format(own))
        if for_good:
            connection.settings_dict["PORT"] = "1"

    messages[2] = when_built(cut, messages[2])
    try:
        yield
    finally:
        connection.settings_dict["PORT"] = port


def let_the_lease_end():
    then = timezone.now() - timedelta(hours=1)
    Delivery.objects.update(created_at=then, changed_at=then)
    sweeper.sweep()


def test_a_mark_that_is_refused_half_way_is_said_and_frees_what_was_claimed(mailbox):
    with refusing("update", THIRD), pytest.raises(LedgerUnavailable):
        batch(*letters())
    assert mailbox.recipients() == PEOPLE[:2]
    assert by_recipient() == dict.fromkeys(PEOPLE[:2], "sent")
    assert Claim.objects.count() == 2
    assert batch(*letters()) == 3
    assert mailbox.recipients() == PEOPLE


def test_a_silent_backend_says_it_in_the_log_and_in_the_outcome(mailbox, caplog):
    messages = letters()
    with refusing("update", THIRD), caplog.at_level(logging.ERROR, "notifyguard"):
        assert batch(*messages, silent=True) == 2
    assert mailbox.recipients() == PEOPLE[:2]
    assert caplog.text.count("ledger's database cannot be written") == 3
    told = [str(notifyguard.outcome(message)[0].state) for message in messages]
    assert told == ["sent", "sent", "failed", "failed", "failed"]


def test_critical_messages_of_the_batch_leave_all_the_same_and_are_recorded_later(
    mailbox, settings, caplog
):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True}}}
    with refusing("update", THIRD), caplog.at_level(logging.WARNING, "notifyguard"):
        assert batch(*letters(type="critical")) == 5
    assert mailbox.recipients() == PEOPLE
    assert caplog.text.count("sent without a record") == 3
    letter("later@example.com").send()
    assert by_recipient() == dict.fromkeys([*PEOPLE, "later@example.com"], "sent")
    assert not late.unrecorded


@pytest.mark.needs("postgresql", "mariadb")
def test_a_connection_that_is_cut_half_way_and_comes_back_costs_nothing(mailbox):
    messages = letters()
    with cut_at_the_third(messages, for_good=False):
        assert batch(*messages) == 5
    assert mailbox.recipients() == PEOPLE
    assert by_recipient() == dict.fromkeys(PEOPLE, "sent")


@pytest.mark.needs("postgresql", "mariadb")
def test_a_database_that_goes_half_way_leaves_one_uncertain_and_sends_none_twice(mailbox, caplog):
    messages = letters()
    with cut_at_the_third(messages, for_good=True), pytest.raises(LedgerUnavailable):
        batch(*messages)
    assert mailbox.recipients() == PEOPLE[:2]
    assert "could not confirm" in caplog.text
    let_the_lease_end()
    states = ["sent", "uncertain", "failed", "failed", "failed"]
    assert by_recipient() == dict(zip(PEOPLE, states, strict=True))
    assert batch(*letters()) == 3
    assert mailbox.recipients() == PEOPLE


@pytest.mark.needs("postgresql", "mariadb")
def test_critical_messages_leave_when_the_database_goes_and_no_record_denies_it(
    mailbox, settings, caplog
):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"critical": True}}}
    messages = letters()
    with cut_at_the_third(messages, for_good=True):
        assert batch(*messages) == 5
    letter("later@example.com").send()
    assert mailbox.recipients() == ["later@example.com", *PEOPLE]
    let_the_lease_end()
    for person in PEOPLE[2:]:
        assert "sent" in {row.state for row in rows(recipient=person)}


@pytest.mark.needs("postgresql", "mariadb")
def test_a_lock_that_somebody_keeps_stops_the_batch_and_not_for_ever(mailbox):
    def lock():
        row = Delivery.objects.get(recipient=PEOPLE[2])
        other.set_autocommit(False)
        with other.cursor() as cursor:
            locked = Delivery.objects.using("default").filter(pk=row.pk).select_for_update()
            sql, parameters = locked.query.get_compiler(connection=other).as_sql()
            cursor.execute(sql, parameters)

    with somebody_else() as other:
        messages = letters()
        messages[2] = when_built(lock, messages[2])
        with connection.cursor() as cursor:
            cursor.execute(IMPATIENT[connection.vendor])
        with pytest.raises(LedgerUnavailable):
            batch(*messages)
        assert mailbox.recipients() == PEOPLE[:2]
        other.rollback()
    assert batch(*letters()) == 3  # taken over, without waiting for the lease
    assert mailbox.recipients() == PEOPLE
    assert by_recipient() == dict.fromkeys(PEOPLE, "sent")
