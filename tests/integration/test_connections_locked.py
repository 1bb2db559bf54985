"""A lock that somebody keeps: it is waited for once, and not ten times."""

from __future__ import annotations

from threading import Event

import pytest
from django.db import OperationalError, connection, transaction

from notifyguard import database, switchboard
from notifyguard.database import transactions
from notifyguard.models import Control
from tests.threads import TIMEOUT, threads

pytestmark = pytest.mark.django_db(transaction=True)

WAITS_BRIEFLY = {
    "postgresql": "SET lock_timeout = '100ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",
    "sqlite": "PRAGMA busy_timeout = 100",
}


@pytest.fixture
def locked(full):
    """Somebody has changed the control row, and does not come to an end."""
    is_locked, may_end = Event(), Event()
    switchboard.board(fresh=True)  # a flush took the row away

    def hold():
        with transaction.atomic():
            Control.objects.update(generation=7)
            is_locked.set()
            assert may_end.wait(TIMEOUT)

    with threads(1) as started:
        started.start(hold)
        assert is_locked.wait(TIMEOUT)
        with connection.cursor() as cursor:
            cursor.execute(WAITS_BRIEFLY[connection.vendor])
        yield
        connection.close()
        may_end.set()


@pytest.mark.parametrize(("patience", "tries"), [(0.0, 1), (TIMEOUT, 3)], ids=["short", "long"])
def test_what_has_waited_for_long_is_not_tried_again(locked, monkeypatch, patience, tries):
    monkeypatch.setattr(transactions, "PATIENCE", patience)
    monkeypatch.setattr(transactions, "ATTEMPTS", 3)
    tried = []

    def change():
        tried.append(True)
        Control.objects.update(generation=8)

    with pytest.raises(OperationalError):
        database.retrying(change)
    # PostgreSQL waits for as long as its administrator says, and is never asked again.
    assert len(tried) == (1 if connection.vendor == "postgresql" else tries)
