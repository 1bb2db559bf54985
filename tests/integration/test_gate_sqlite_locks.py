"""SQLite has one lock for all its tables: mail inside ``atomic()`` waits for it like any write."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from threading import Event

import pytest
from django.db import connection, connections, transaction

from tests.factories import UserFactory
from tests.mailbox import letter, states
from tests.threads import TIMEOUT, threads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("sqlite")]


@contextmanager
def a_writer():
    """Somebody else at the same file, who never waits."""
    path = connection.settings_dict["NAME"]
    writer = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        yield writer
    finally:
        writer.close()


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_mail_inside_atomic_waits_for_anothers_commit_and_lets_no_third_in_between(mailbox, key):
    letter("before@example.com").send()
    locked, waiting, begun, tried = Event(), Event(), Event(), Event()

    def others():
        with a_writer() as writer:
            writer.execute("BEGIN EXCLUSIVE")  # as while a commit is written: nobody reads
            locked.set()
            assert waiting.wait(TIMEOUT)
            writer.execute("COMMIT")
            assert begun.wait(TIMEOUT)
            try:
                writer.execute("BEGIN IMMEDIATE")  # the next one in the queue, if it may
            except sqlite3.OperationalError:
                pass
            finally:
                tried.set()
            sent.wait(TIMEOUT)

    def watch(execute, sql, params, many, context):
        waiting.set()
        done = execute(sql, params, many, context)
        begun.set()
        assert tried.wait(TIMEOUT)
        return done

    sent = Event()
    with threads(1) as started:
        started.start(others)
        assert locked.wait(TIMEOUT)
        try:
            with transaction.atomic(), connection.execute_wrapper(watch):
                letter("ann@example.com", key=key).send()
        finally:
            sent.set()
    assert mailbox.recipients() == ["ann@example.com", "before@example.com"]
    assert states() == ["sent", "sent"]


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_caller_whose_own_transaction_locks_out_readers_sends_all_the_same(mailbox, key):
    with transaction.atomic():
        UserFactory()
        # As a transaction that outgrows the cache does: its pages go to the file before the commit.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = 1")
            cursor.execute("PRAGMA cache_spill = 1")
            cursor.execute("UPDATE notifyguard_control SET salt = salt WHERE id = 1")
        letter("ann@example.com", key=key).send()
    assert mailbox.recipients() == ["ann@example.com"]
    connections.close_all()
