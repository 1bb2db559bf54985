"""Mail that leaves inside the caller's transaction: what may happen between judging and sending."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError, transaction

from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from tests.mailbox import batch, closed_port, letter, rows, use_backend, use_server
from tests.threads import threads

pytestmark = pytest.mark.django_db(transaction=True)


class QueueInATable(BaseEmailBackend):
    """A backend whose own table is gone."""

    def send_messages(self, messages):
        raise DatabaseError("no such table: queue")


class StopsAll(EmailMessage):
    """A message at which somebody else stops all mail, once: when it is built."""

    stopped = False

    def message(self, *args, **kwargs):
        if not self.stopped:
            self.stopped = True
            with threads(1) as started:
                started.start(stop)
        return super().message(*args, **kwargs)


def stop():
    switchboard.set_switch("*", Sending.HOLD, reason="stop", actor=unrestricted("somebody else"))


def test_a_switch_set_while_the_backend_connects_stops_the_message(mailbox):
    with transaction.atomic():
        assert StopsAll("Hello", "text", "from@example.com", ["ann@example.com"]).send() == 0
    assert mailbox.accepted() == []
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "switch")


def test_a_silent_backend_that_cannot_connect_says_so_in_the_ledger(mailbox, settings):
    use_server(settings, closed_port(), timeout=2)
    with transaction.atomic():
        assert not batch(letter("ann@example.com"), silent=True)
    (row,) = rows()
    assert (row.state, row.rule) == ("failed", "connect")


def test_a_database_error_of_the_backend_itself_is_the_callers_as_without_notifyguard(
    mailbox, settings
):
    use_backend(settings, f"{__name__}.QueueInATable")
    with transaction.atomic(), pytest.raises(DatabaseError, match="no such table: queue"):
        letter("ann@example.com").send()
    (row,) = rows()
    assert row.state == "uncertain"
