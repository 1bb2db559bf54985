"""What is written late: records of critical mail, and a confirm that fails in a transaction."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, transaction

from notifyguard.gate import late
from notifyguard.models import Delivery
from tests.factories import UserFactory
from tests.mailbox import letter, rows, states
from tests.threads import threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def critical(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"now": {"critical": True}}}
    letter("warm@example.com").send()


@contextmanager
def refused(fragment):
    """The database itself refuses the statements that have this in them."""

    def refuse(execute, sql, params, many, context):
        if fragment in sql:
            sql = sql.replace("notifyguard_delivery", "notifyguard_gone")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


@contextmanager
def reply_lost(monkeypatch):
    """The row is written and its commit goes through, but nobody is told."""

    def lose(execute, sql, params, many, context):
        done = execute(sql, params, many, context)
        if "INSERT INTO notifyguard_delivery" in sql:
            raise DatabaseError("the reply was lost")
        return done

    commit = connection._commit

    def commit_and_lose():
        commit()
        raise DatabaseError("the reply was lost")

    with monkeypatch.context() as patched:
        if connection.vendor == "postgresql":
            with connection.execute_wrapper(lose):
                yield
        else:
            patched.setattr(connection, "_commit", commit_and_lose)
            yield


def left_unrecorded(person):
    with refused("notifyguard_delivery"):
        assert letter(f"{person}@example.com", type="now").send() == 1


def by_person():
    return {row.recipient.partition("@")[0]: str(row.state) for row in rows()}


def test_a_record_whose_commit_was_thought_lost_is_confirmed_and_the_others_are_written(
    mailbox, monkeypatch
):
    left_unrecorded("ann")
    with reply_lost(monkeypatch):
        assert letter("bob@example.com", type="now").send() == 1
    left_unrecorded("carol")
    assert by_person() == {"warm": "sent", "bob": "in_flight"}
    letter("last@example.com").send()
    people = ("warm", "ann", "bob", "carol", "last")
    assert by_person() == dict.fromkeys(people, "sent")
    assert sorted(mailbox.recipients()) == sorted(f"{person}@example.com" for person in people)
    assert not late.unrecorded


def test_what_cannot_be_written_late_either_is_kept_for_the_next_time(mailbox, caplog):
    left_unrecorded("ann")
    with caplog.at_level(logging.ERROR, "notifyguard"), refused("INSERT INTO"):
        letter("bob@example.com", type="now").send()
    assert len(late.unrecorded) == 2
    letter("last@example.com").send()
    assert by_person() == dict.fromkeys(("warm", "ann", "bob", "last"), "sent")


def test_late_records_are_not_written_into_a_transaction_that_may_be_undone(mailbox):
    left_unrecorded("ann")
    with transaction.atomic():
        letter("undone@example.com").send()
        transaction.set_rollback(True)
    letter("last@example.com").send()
    assert by_person() == dict.fromkeys(("warm", "ann", "last"), "sent")


def test_threads_that_write_late_records_at_once_write_each_once(mailbox):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer")
    for number in range(20):
        left_unrecorded(f"p{number}")
    with threads(4) as started:
        for number in range(4):
            started.start(letter(f"t{number}@example.com").send)
    assert Delivery.objects.filter(state="sent").count() == 25
    assert not late.unrecorded


def test_what_there_is_no_room_for_is_named(mailbox, monkeypatch, caplog):
    monkeypatch.setattr(late, "unrecorded", type(late.unrecorded)(maxlen=1))
    with caplog.at_level(logging.ERROR, "notifyguard"):
        left_unrecorded("ann")
        ann = late.unrecorded[0].dispatch
        left_unrecorded("bob")
    assert f"never recorded, sent: dispatch {ann}" in caplog.text


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_confirm_that_fails_leaves_the_callers_transaction_whole(mailbox, settings, caplog, key):
    settings.NOTIFYGUARD |= {"TYPES": {"*": {"in_transaction": "now"}}}
    with caplog.at_level(logging.ERROR, "notifyguard"), transaction.atomic():
        before = UserFactory()
        with refused("SET state = %s, rule"):
            assert letter("ann@example.com", key=key).send() == 1
        assert not connection.needs_rollback
        after = UserFactory()
    before.refresh_from_db()
    after.refresh_from_db()
    assert "could not confirm" in caplog.text
    assert mailbox.recipients()[0] == "ann@example.com"
    assert states() == ["in_flight", "sent"]  # the sweeper makes it uncertain
