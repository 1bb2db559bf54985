"""A commit whose reply was lost: what was written is ours, not a duplicate of itself."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, connections

from notifyguard.models import Claim, FrozenMessage
from tests.mailbox import batch, letter, states

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("postgresql", "mariadb"),
]

OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
DISCONNECT = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


def ask(question, *about, of):
    with of.cursor() as cursor:
        cursor.execute(question[of.vendor].format(*about))
        return cursor.fetchone()


class Line:
    """The test's connection, which is cut right after its next commit of new rows."""

    def __init__(self, monkeypatch):
        self.wrote = self.was_cut = False
        (self.own,) = ask(OWN_ID, of=connection)
        self.commit = connection._commit
        monkeypatch.setattr(connection, "_commit", self.commit_and_lose_the_reply)

    def watch(self, execute, sql, params, many, context):
        done = execute(sql, params, many, context)
        self.wrote = self.wrote or "INTO notifyguard_delivery" in sql.replace('"', "").replace(
            "`", ""
        )
        if not connection.in_atomic_block:
            self.cut()  # autocommit: what was executed is committed
        return done

    def commit_and_lose_the_reply(self):
        self.commit()
        self.cut()

    def cut(self):
        if not self.wrote or self.was_cut:
            return
        self.was_cut = True
        other = connections.create_connection("default")
        try:
            if connection.vendor == "postgresql":
                ask(DISCONNECT, self.own, of=other)
            else:
                with other.cursor() as cursor:
                    cursor.execute(DISCONNECT["mysql"].format(self.own))
        finally:
            other.close()
        raise OperationalError("the server closed the connection unexpectedly")


@pytest.fixture
def line(mailbox, monkeypatch):
    line = Line(monkeypatch)
    with connection.execute_wrapper(line.watch):
        yield line
    assert line.was_cut


def test_a_message_whose_claim_was_committed_leaves_once(mailbox, line):
    assert letter("ann@example.com", key="1").send() == 1
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert Claim.objects.get().duplicates == 0


def test_a_message_without_a_key_leaves_once_and_has_one_row(mailbox, line):
    assert letter("ann@example.com").send() == 1
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


def test_a_batch_whose_claims_were_committed_leaves_once(mailbox, line):
    assert batch(*(letter(f"person{number}@example.com", key="1") for number in range(3))) == 3
    assert len(mailbox.accepted()) == 3
    assert states() == ["sent"] * 3


def test_what_was_held_is_held_once(mailbox, settings, line):
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    assert letter("ann@example.com", key="1").send() == 0
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1
