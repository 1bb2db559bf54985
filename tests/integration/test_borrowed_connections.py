"""Mail from a thread of its own leaves no connection to the database behind."""

from __future__ import annotations

import gc
import threading

import pytest
from django.db import connection, connections

from tests.mailbox import letter, states

pytestmark = pytest.mark.django_db(transaction=True)


def run(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def seen():
    """Connections as threads left them, with the collector asleep."""
    gc.disable()
    yield []
    gc.enable()


def test_a_connection_opened_for_a_mail_ends_with_its_thread(mailbox, seen):
    def tell():
        seen.append(connections["default"])
        assert connection.connection is None
        letter(key="1").send()
        letter(key="2").send()
        assert connection.connection is not None

    run(tell)
    assert states() == ["sent", "sent"]
    assert [left.connection for left in seen] == [None]


def test_one_that_the_thread_had_opened_itself_is_left_alone(mailbox, seen):
    def tell():
        connection.ensure_connection()
        seen.append(connections["default"])
        letter(key="1").send()

    run(tell)
    (left,) = seen
    assert left.connection is not None
    left.inc_thread_sharing()
    left.close()
