"""The cheap look for taken keys, when others are at the same keys or the connection is gone."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event

import pytest
from django.db import OperationalError, connection, connections
from django.db.models import F

from notifyguard import ledger
from notifyguard.models import Claim
from tests.connections import wait_until, waits_for_a_lock
from tests.mailbox import batch, letter, states
from tests.threads import TIMEOUT, threads

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("postgresql", "mariadb"),
]

OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
DISCONNECT = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


def letters():
    return [letter(f"{name}@example.com", key="1", subject="Hello") for name in ("ann", "bob")]


def ask(question, *about, of=connection):
    with of.cursor() as cursor:
        cursor.execute(question[of.vendor].format(*about))
        return cursor.fetchone() if cursor.description else None


@contextmanager
def somebody_else():
    other = connections.create_connection("default")
    other.set_autocommit(True)
    try:
        yield other
    finally:
        other.close()


def test_a_connection_that_was_cut_while_idle_hides_no_duplicate(mailbox):
    assert batch(*letters()) == 2
    with somebody_else() as other:
        ask(DISCONNECT, *ask(OWN_ID), of=other)
    assert not batch(*letters())
    assert list(Claim.objects.values_list("duplicates", flat=True)) == [1, 1]
    assert states() == ["sent", "sent"]


def test_two_who_count_on_the_same_keys_the_other_way_round_both_count(mailbox):
    """On PostgreSQL a deadlock of which ours is the victim; on MariaDB each key is a commit."""
    assert batch(*letters()) == 2
    first, second = sorted(Claim.objects.values_list("key", flat=True), key=str)
    locked, waits = Event(), Event()

    def look():
        own.append(*ask(OWN_ID))
        assert locked.wait(TIMEOUT)
        return ledger.look([first, second])

    def other_way_round():
        connection.set_autocommit(False)
        count(second)
        locked.set()
        assert waits.wait(TIMEOUT)
        count(first)
        connection.commit()

    own: list[int] = []
    with threads(2) as started:
        looked = started.start(look)
        started.start(other_way_round)
        assert locked.wait(TIMEOUT)
        wait_until(lambda: own and waits_for_a_lock(*own))
        waits.set()
    assert looked.result().keys() == {first, second}
    assert list(Claim.objects.values_list("duplicates", flat=True)) == [2, 2]


@pytest.mark.needs("mariadb")
def test_a_lock_that_is_waited_for_too_long_is_asked_for_again_and_nothing_counts_twice(mailbox):
    assert batch(*letters()) == 2
    _, second = sorted(Claim.objects.values_list("key", flat=True), key=str)
    refused = []

    def let_go(execute, sql, params, many, context):
        try:
            return execute(sql, params, many, context)
        except OperationalError:
            refused.append(sql)
            other.rollback()
            raise

    with somebody_else() as other, connection.cursor() as cursor:
        other.set_autocommit(False)
        with other.cursor() as theirs:
            theirs.execute(
                "SELECT 1 FROM notifyguard_claim WHERE idempotency_key = %s FOR UPDATE", [second]
            )
        cursor.execute("SET innodb_lock_wait_timeout = 0")
        with connection.execute_wrapper(let_go):
            assert not batch(*letters())
    assert len(refused) == 1
    assert list(Claim.objects.values_list("duplicates", flat=True)) == [1, 1]


def count(key):
    Claim.objects.filter(key=key).update(duplicates=F("duplicates") + 1)
