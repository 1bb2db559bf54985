"""A caller's long transaction neither blocks the kill switch nor hides it."""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction

from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.ledger import Entry, departure, new_id
from notifyguard.ledger import rows as ledger_rows
from notifyguard.models import Claim, Control, Delivery, FrozenMessage, Switch
from tests.connections import another, number, wait_until, waits_for_a_lock
from tests.factories import UserFactory
from tests.mailbox import letter, outcomes, rows, staff, states
from tests.refusals import gone
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

LOCK_TIMEOUT = {
    "postgresql": "SET lock_timeout = '2s'",
    "mysql": "SET innodb_lock_wait_timeout = 2",
}


def hold(pattern="*", **more):
    switchboard.set_switch(pattern, Sending.HOLD, reason="stop", actor=unrestricted("me"), **more)


def impatient():
    """Fail where we would have to wait for somebody's lock."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_TIMEOUT[connection.vendor])


@pytest.mark.needs("postgresql", "mariadb")
@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_long_transaction_that_has_sent_mail_does_not_block_the_switch(mailbox, key):
    letter().send()
    sent, done = Event(), Event()

    def caller():
        with transaction.atomic():
            letter(key=key).send()
            sent.set()
            assert done.wait(TIMEOUT)

    with threads(1) as started:
        started.start(caller)
        assert sent.wait(TIMEOUT)
        impatient()
        try:
            hold()
        finally:
            done.set()
    assert letter().send() == 0


@pytest.mark.needs("postgresql", "mariadb")
def test_a_switch_that_is_set_waits_for_a_mark_that_has_begun(mailbox):
    """Else the mark would be committed, and the message begin to leave, after hold() returned."""
    letter().send()
    operator: list[int] = []
    waited: list[bool] = []
    returned = Event()

    def set_it():
        operator.append(number(connection))
        hold()
        returned.set()

    def between(execute, sql, params, many, context):
        done = execute(sql, params, many, context)
        if "INSERT INTO notifyguard_claim" in sql and not waited:
            started.start(set_it)
            with another() as other:
                wait_until(
                    lambda: returned.is_set() or (operator and waits_for_a_lock(operator[0], other))
                )
            waited.append(not returned.is_set())
        return done

    with threads(1) as started, connection.execute_wrapper(between), transaction.atomic():
        # To two, since for one PostgreSQL claims and marks in one statement.
        letter("ann@example.com", "bob@example.com", key="1").send()
    assert waited == [True]
    assert letter().send() == 0


@pytest.mark.needs("postgresql", "mariadb")
def test_the_key_of_what_somebody_ends_at_this_moment_is_not_taken(mailbox):
    ours = Entry(new_id(), "ticket.modified", "ann@example.com", uuid4(), frozen=True)
    ledger_rows.note([ours])
    sweeper: list[int] = []
    started_by_us: list[list[Entry]] = []

    def start():
        sweeper.append(number(connection))
        started_by_us.append(departure.start([ours], switchboard.board()))

    with threads(1) as started, another() as other, transaction.atomic():
        Delivery.objects.filter(id=ours.id).update(state="discarded", attempt=2)
        started.start(start)
        wait_until(lambda: sweeper and waits_for_a_lock(sweeper[0], other))
    assert started_by_us == [[]]
    assert not Claim.objects.exists()


@pytest.mark.needs("postgresql", "mariadb")
@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_switch_is_seen_by_a_transaction_that_cannot_see_it(mailbox, key):
    letter().send()
    begun, stopped = Event(), Event()
    message = letter("late@example.com", key=key)

    def caller():
        with connection.cursor() as cursor:
            level = {"postgresql": "SESSION CHARACTERISTICS AS", "mysql": "SESSION"}
            cursor.execute(
                f"SET {level[connection.vendor]} TRANSACTION ISOLATION LEVEL REPEATABLE READ"
            )
        with transaction.atomic():
            assert len(rows()) == 1  # from now on it sees the past
            begun.set()
            assert stopped.wait(TIMEOUT)
            message.send()

    with threads(1) as started:
        started.start(caller)
        assert begun.wait(TIMEOUT)
        hold()
        stopped.set()
    assert "late@example.com" not in mailbox.recipients()
    assert outcomes(message) == {"late@example.com": "held"}


def test_a_switch_set_in_the_callers_own_transaction_counts_on_its_commit(mailbox):
    letter().send()
    with transaction.atomic():
        UserFactory()
        hold()
    assert letter().send() == 0


@pytest.mark.needs("postgresql")
def test_in_a_broken_transaction_critical_mail_leaves_and_other_is_refused(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True, "in_transaction": "now"}}}
    letter().send()
    with transaction.atomic():
        with connection.cursor() as cursor, pytest.raises(DatabaseError):
            cursor.execute("SELECT nonsense")
        assert letter("ann@example.com", type="critical").send() == 1
        with pytest.raises(LedgerUnavailable):
            letter("bob@example.com").send()
        transaction.set_rollback(True)
    assert "ann@example.com" in mailbox.recipients()
    assert "bob@example.com" not in mailbox.recipients()


def test_a_transaction_marked_for_rollback_is_a_broken_one(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True, "in_transaction": "now"}}}
    letter().send()
    with transaction.atomic():
        transaction.set_rollback(True)
        assert letter("ann@example.com", type="critical").send() == 1
        for key in (None, "1"):
            with pytest.raises(LedgerUnavailable):
                letter("bob@example.com", key=key).send()
    assert "ann@example.com" in mailbox.recipients()
    assert "bob@example.com" not in mailbox.recipients()


def test_the_errors_of_the_site_reach_the_admins_from_a_broken_transaction(mailbox, settings):
    from django.core.mail import mail_admins

    settings.ADMINS = staff("admin@example.com")
    letter().send()
    with transaction.atomic():
        transaction.set_rollback(True)
        mail_admins("It broke", "All of it.")
    assert "admin@example.com" in mailbox.recipients()


def test_a_failing_ledger_leaves_the_callers_work_alone(mailbox, monkeypatch):
    letter().send()
    with transaction.atomic():
        user = UserFactory()
        refused = connection.execute_wrapper(_refuses("notifyguard_delivery"))
        with refused, pytest.raises(LedgerUnavailable):
            letter("ann@example.com").send()
        assert not connection.needs_rollback
    user.refresh_from_db()
    assert "ann@example.com" not in mailbox.recipients()
    assert states() == ["sent"]


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
@pytest.mark.parametrize("model", [Control, Switch, Claim, Delivery, FrozenMessage])
def test_a_table_that_is_gone_costs_the_caller_nothing(mailbox, model, key):
    letter().send()
    with gone(model._meta.db_table):
        with transaction.atomic():
            UserFactory()
            with suppress(LedgerUnavailable):
                letter("ann@example.com", key=key).send()
            UserFactory()
        assert get_user_model().objects.count() == 2


def test_what_left_unrecorded_is_recorded_when_the_ledger_works_again(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True}}}
    with transaction.atomic():
        transaction.set_rollback(True)
        letter("ann@example.com", type="critical").send()
    assert rows() == []
    letter("bob@example.com").send()
    assert {row.recipient: row.state for row in rows()} == {
        "ann@example.com": "sent",
        "bob@example.com": "sent",
    }


def _refuses(table):
    """The database itself refuses the statement, so that its transaction is really broken."""

    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT") and table in sql:
            sql = sql.replace(table, "notifyguard_gone")
        return execute(sql, params, many, context)

    return refuse
