"""The connection beside the caller's transaction: cut, pooled, refused or kept waiting."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, nullcontext
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.signals import connection_created

from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.database import committed
from notifyguard.decision import Sending
from notifyguard.models import Control
from tests.connections import another, cut, impatient, number_beside, seeing_the_past
from tests.factories import UserFactory
from tests.mailbox import letter, rows, states
from tests.services import chosen_database
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

servers = pytest.mark.needs("postgresql", "mariadb")


def hold():
    switchboard.set_switch("*", Sending.HOLD, reason="stop", actor=unrestricted("me"))


@contextmanager
def counted_connections():
    opened = []

    def note(connection, **more):
        opened.append(connection)

    connection_created.connect(note)
    try:
        yield opened
    finally:
        connection_created.disconnect(note)


@pytest.mark.needs("postgresql")
def test_postgresql_needs_no_second_connection(mailbox):
    with counted_connections() as opened, transaction.atomic():
        letter().send()
        letter(key=1).send()
        switchboard.board(fresh=True)
    assert len(mailbox.accepted()) == 2
    assert opened == []


@servers
def test_one_that_the_server_cut_is_opened_again_and_no_mail_fails(mailbox):
    with seeing_the_past(), transaction.atomic():
        assert letter().send() == 1
        first = number_beside()
        cut(first)
        assert letter().send() == 1
        assert number_beside() != first
    assert states() == ["sent", "sent"]


@servers
def test_over_one_opened_again_a_switch_is_seen_by_a_transaction_that_cannot_see_it(mailbox):
    with seeing_the_past(), transaction.atomic():
        assert letter().send() == 1
        assert len(rows()) == 1  # from now on it sees the past
        cut(number_beside())
        with threads(1) as started:
            started.start(hold)
        assert letter().send() == 0
    assert states() == ["held", "sent"]


@servers
def test_it_ends_with_the_callers_connection(mailbox):
    with seeing_the_past(), transaction.atomic():
        letter().send()
        opened = number_beside()
    with another() as admin, admin.cursor() as cursor:
        wanted = {
            "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
            "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = %s",
        }
        deadline = time.monotonic() + 5
        while True:
            cursor.execute(wanted[connection.vendor], [opened])
            if cursor.fetchone() == (0,):
                break
            assert time.monotonic() < deadline


GRANT = {
    "postgresql": [
        "DROP ROLE IF EXISTS {name}",
        "CREATE ROLE {name} LOGIN CONNECTION LIMIT 1 IN ROLE pg_write_all_data, pg_read_all_data",
    ],
    "mysql": [
        "DROP USER IF EXISTS {name}",
        "CREATE USER {name} WITH MAX_USER_CONNECTIONS 1",
        "GRANT ALL ON *.* TO {name}",
    ],
}


@pytest.fixture
def the_last_connection(mailbox):
    """A user of the database who may have one connection; for a child process."""
    name = f"few_{connection.settings_dict['NAME']}"[-60:]
    drop, *create = GRANT[connection.vendor]
    with connection.cursor() as cursor:
        for statement in (drop, *create):
            cursor.execute(statement.format(name=name))
    yield {f"NOTIFYGUARD_{chosen_database().upper()}_USER": name}
    with connection.cursor() as cursor:
        cursor.execute(drop.format(name=name))


SEND_IN_ATOMIC = """
from django.contrib.auth.models import User
from django.db import transaction
from tests.connections import see_the_past, seeing_the_past
{before}
with transaction.atomic():
    User.objects.create(username="ann")
    print(send("plain"), send("keyed", key="1"))
    switchboard.forget()
    print(send("again"))
print(User.objects.count())
"""


@servers
@pytest.mark.parametrize("before", ["", "see_the_past()"], ids=["as usual", "repeatable read"])
def test_where_the_server_takes_no_more_the_callers_own_is_asked(
    mailbox, elsewhere, the_last_connection, before
):
    said, log = elsewhere(SEND_IN_ATOMIC.format(before=before), **the_last_connection)
    assert said == ["1", "1", "1", "1"]
    assert len(mailbox.accepted()) == 3
    assert set(states()) == {"sent"}
    warned = log.count("no connection beside")
    assert warned == (0 if connection.vendor == "postgresql" and not before else 1)


@pytest.mark.needs("postgresql")
@pytest.mark.needs("psycopg_pool")
@pytest.mark.parametrize("before", ["", "see_the_past()"], ids=["as usual", "repeatable read"])
def test_the_callers_pool_is_left_alone(mailbox, elsewhere, before):
    pool = 'settings.DATABASES["default"]["OPTIONS"]["pool"] = {"max_size": 1, "timeout": 2}'
    said, log = elsewhere(
        SEND_IN_ATOMIC.format(before=before) + "connection.close_pool()\n",
        BEFORE=pool.replace('"max_size"', '"min_size": 1, "max_size"'),
    )
    assert said == ["1", "1", "1", "1"]
    assert "no connection beside" not in log
    assert len(mailbox.accepted()) == 3


def test_one_that_waits_for_the_caller_is_not_waited_for_long(mailbox, monkeypatch, caplog):
    """The caller has emptied our tables, so that whoever makes the control row waits for him."""
    monkeypatch.setattr(committed, "PATIENCE", 1)
    with transaction.atomic():
        user = UserFactory()
        Control.objects.all().delete()
        switchboard.forget()
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "notifyguard"):
            assert letter(key=1, subject="A", to=["ann@example.com"]).send() == 1
        assert time.monotonic() - began < 10
    user.refresh_from_db()
    assert mailbox.recipients() == ["ann@example.com"]
    assert Control.objects.count() == 1
    assert rows()[0].state == "sent"
    assert caplog.text.count("no connection beside") == (connection.vendor == "postgresql")


@servers
@pytest.mark.parametrize("past", [False, True], ids=["as usual", "repeatable read"])
def test_nobody_waits_for_the_transaction_in_which_the_ledger_began(mailbox, past):
    """A flush emptied the control row; who sends first makes it, and others send meanwhile."""
    Control.objects.all().delete()
    switchboard.forget()
    sent, done = Event(), Event()
    same: dict[str, Any] = {"to": ["ann@example.com"], "key": 1, "subject": "A"}

    def caller():
        with seeing_the_past() if past else nullcontext(), transaction.atomic():
            UserFactory()
            letter(**same).send()
            sent.set()
            assert done.wait(TIMEOUT)

    with threads(1) as started:
        started.start(caller)
        try:
            assert sent.wait(TIMEOUT)
            impatient()
            switchboard.forget()  # as another process, which has seen no switches yet
            assert letter("bob@example.com", key=2).send() == 1
            hold()
            switchboard.clear_switch("*", reason="over", actor=unrestricted("me"))
        finally:
            done.set()
    assert letter(**same).send() == 0  # under the salt of the row that was made meanwhile
    assert states() == ["sent", "sent"]


@pytest.mark.needs("postgresql")
def test_a_serializable_caller_has_not_read_what_a_switch_writes(mailbox):
    """Else PostgreSQL may cancel the caller's transaction for a switch that somebody set."""
    with seeing_the_past("SERIALIZABLE"), transaction.atomic():
        letter().send()
        letter(key=1).send()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock'"
                " AND relation = 'notifyguard_control'::regclass"
            )
            assert cursor.fetchone() == (0,)
