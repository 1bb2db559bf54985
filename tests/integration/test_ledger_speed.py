"""What made messages dear once, and must not again: connections, and plans that read the ledger."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.ledger import Entry, new_id, rows
from tests.mailbox import letter

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_connection_beside_the_callers_is_opened_once(mailbox, monkeypatch):
    opened = []
    connect = BaseDatabaseWrapper.connect

    def note_and_connect(wrapper):
        opened.append(wrapper)
        connect(wrapper)

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", note_and_connect)
    assert connection.settings_dict["CONN_MAX_AGE"] == 0
    for number in range(3):
        with transaction.atomic():
            letter(key=number).send()
    assert len(opened) <= 1


@pytest.mark.needs("postgresql")
def test_a_look_finds_the_holder_by_its_id_before_there_are_statistics(mailbox):
    """Nearly every row has no ``wake_at``: by that index the look would read the whole ledger."""
    with database.short_transaction() as ours:
        sent = [Entry(new_id(), "sent", f"{n}@example.com", state=State.SENT) for n in range(500)]
        rows.insert(ours, sent, clock.now(ours))
    look, parameters = statements_of(letter(key="1"))[0]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {look}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using notifyguard_delivery_pkey" in plan, plan
    assert "notifyguard_delivery_wake_at" not in plan, plan


@pytest.mark.needs("postgresql")
def test_a_claim_takes_a_parameter_for_each_column_not_for_each_value(mailbox):
    """Bound by the server there may be 65,535 of them: 3,000 recipients once were too many."""
    few, many = (
        next(parameters for sql, parameters in statements_of(message) if "claimed AS" in sql)
        for message in (
            letter("a@e.com", "b@e.com", key=1),
            letter("c@e.com", "d@e.com", "e@e.com", key=2),
        )
    )
    assert len(few) == len(many)


def statements_of(message):
    """Send the message; return its statements with their parameters."""
    seen = []

    def note(execute, sql, params, many, context):
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        message.send()
    return seen
