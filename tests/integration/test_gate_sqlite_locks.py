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


class Rivals:
    """Two others who want the file: one is writing its commit, the next wants to begin."""

    def __init__(self) -> None:
        self.locked, self.waited_for, self.tried, self.done = Event(), Event(), Event(), Event()
        self.begun = Event()

    def run(self) -> None:
        with a_writer() as writer:
            writer.execute("BEGIN EXCLUSIVE")  # as while a commit is written: nobody reads
            self.locked.set()
            assert self.waited_for.wait(TIMEOUT)
            writer.execute("COMMIT")
            assert self.begun.wait(TIMEOUT)
            try:
                writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                pass  # the caller has the lock, as it should
            finally:
                self.tried.set()
            assert self.done.wait(TIMEOUT)

    def watch(self, execute, sql, params, many, context):
        """Between the caller's statements the rivals have their turns."""
        self.waited_for.set()
        result = execute(sql, params, many, context)
        self.begun.set()
        assert self.tried.wait(TIMEOUT)
        return result


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_a_mail_inside_atomic_waits_for_anothers_commit_and_lets_no_third_in_between(mailbox, key):
    rivals = Rivals()
    with threads(1) as started:
        started.start(rivals.run)
        assert rivals.locked.wait(TIMEOUT)
        try:
            with transaction.atomic(), connection.execute_wrapper(rivals.watch):
                letter("ann@example.com", key=key).send()
        finally:
            rivals.done.set()
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


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
