"""A connection that the server cuts: at each step, and inside the caller's transaction."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import Error, connection, transaction

from notifyguard.exceptions import LedgerUnavailable
from tests.connections import cut, number
from tests.factories import UserFactory
from tests.mailbox import batch, letter, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("postgresql", "mariadb")]

STEPS = {
    "look": {"postgresql": "c SET duplicates", "mysql": "FROM `notifyguard_claim`"},
    "record": {
        "postgresql": "INSERT INTO notifyguard_delivery",
        "mysql": "INSERT INTO `notifyguard_delivery`",
    },
    "mark": dict.fromkeys(("postgresql", "mysql"), "instance = %s, message_id = %s"),
    "confirm": dict.fromkeys(("postgresql", "mysql"), "SET state = %s, rule = %s"),
}


@contextmanager
def cut_at(step, *, after=False):
    """The server cuts the connection once, before or after a statement of this step."""
    fragment = STEPS[step][connection.vendor]
    cuts: list[str] = []

    def watch(execute, sql, params, many, context):
        due = fragment in sql and not cuts
        if due:
            cuts.append(sql)
        if due and not after:
            cut(ours)
        done = execute(sql, params, many, context)
        if due and after:
            cut(ours)
        return done

    ours = number(connection)
    with connection.execute_wrapper(watch):
        yield cuts
    assert cuts, f"no statement of the step {step}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["look", "record", "confirm"])
def test_a_message_leaves_once_whichever_step_is_cut(mailbox, step, after):
    with cut_at(step, after=after):
        assert letter("ann@example.com", key="1", subject="Hello").send() == 1
    assert letter("ann@example.com", key="1", subject="Hello").send() == 0
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_batch_leaves_once_whichever_step_is_cut(mailbox, step, after):
    messages = [letter(f"p{n}@example.com", key=n) for n in range(3)]
    with cut_at(step, after=after):
        assert batch(*messages) == 3
    assert mailbox.recipients() == ["p0@example.com", "p1@example.com", "p2@example.com"]
    assert states() == ["sent"] * 3


def test_one_found_closed_by_the_driver_is_opened_again(mailbox):
    letter().send()
    connection.connection.close()
    assert letter(key="1").send() == 1
    assert states() == ["sent", "sent"]


def cut_by_the_server():
    cut(number(connection))


def closed_by_the_driver():
    connection.connection.close()


@pytest.mark.parametrize("end", [cut_by_the_server, closed_by_the_driver, connection.close])
def test_with_the_callers_transaction_gone_only_critical_mail_leaves(mailbox, settings, end):
    settings.NOTIFYGUARD |= {"TYPES": {"now": {"critical": True, "in_transaction": "now"}}}
    letter().send()
    with pytest.raises(Error), transaction.atomic():  # noqa: PT012
        letter("before@example.com", key="1").send()
        end()
        for key in (None, "2"):
            with pytest.raises(LedgerUnavailable):
                letter("ann@example.com", key=key).send()
        assert letter("now@example.com", type="now").send() == 1
        UserFactory()  # the caller's own next statement
    left = mailbox.recipients()
    assert "now@example.com" in left
    assert not {"ann@example.com", "before@example.com"} & set(left)
    letter("later@example.com").send()
    assert states() == ["sent"] * 3  # what left unrecorded is recorded by now
