"""Sending from a running event loop in every kind of test: it works, or says clearly why not."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from asgiref.sync import sync_to_async
from django.core import mail
from django.core.mail.backends import locmem
from django.db import connection, connections, transaction

from notifyguard import switchboard
from notifyguard.exceptions import LedgerUnavailable
from tests.async_cases import (  # noqa: F401
    FullInSimpleTestCase,
    FullInTestCase,
    FullInTransactionTestCase,
    LightInSimpleTestCase,
    LightInTestCase,
    LightInTransactionTestCase,
    send,
)
from tests.connections import number
from tests.factories import UserFactory
from tests.mailbox import states, use_backend
from tests.smtp import PROJECT
from tests.threads import threads


@pytest.mark.needs("sqlite")
def test_the_same_with_djangos_own_runner_and_a_database_in_memory():
    command = "-m django test tests.async_cases --settings tests.settings_in_memory"
    ran = subprocess.run(
        [sys.executable, *command.split()], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "Ran 24 tests" in ran.stderr


@pytest.fixture
def plain(full):
    switchboard.forget()
    yield
    switchboard.forget()


async def directly():
    return send()


async def by_sync_to_async():
    try:
        return await sync_to_async(send)()
    finally:
        await sync_to_async(connections.close_all)()


@pytest.mark.django_db
def test_a_loop_in_the_thread_of_the_tests_transaction_is_in_it(plain):
    assert asyncio.run(directly()) == 1
    assert states() == ["sent"]
    assert connection.in_atomic_block
    assert not connection.needs_rollback


@pytest.mark.django_db
def test_another_thread_than_the_tests_is_told_so(plain):
    with pytest.raises(LedgerUnavailable, match=r"transaction=True"):
        asyncio.run(by_sync_to_async())
    with pytest.raises(LedgerUnavailable, match="TransactionTestCase"), threads(1) as started:
        started.start(send)
    assert states() == []
    assert mail.outbox == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [directly, by_sync_to_async])
def test_without_a_tests_transaction_every_way_works(plain, way):
    assert [asyncio.run(way()) for _ in range(2)] == [1, 0]
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
def test_a_loop_inside_a_transaction_of_the_caller_is_inside_it(plain):
    with transaction.atomic():
        user = UserFactory()
        assert asyncio.run(directly()) == 1
        assert states() == ["queued"]
        assert mail.outbox == []
    user.refresh_from_db()
    assert states() == ["sent"]
    with transaction.atomic():
        asyncio.run(directly())
        transaction.set_rollback(True)
    assert states() == ["sent"]


class AsksForTheLoop(locmem.EmailBackend):
    """A backend that hands a part of its work to the loop that runs."""

    def send_messages(self, messages):
        asyncio.get_running_loop().call_soon(told.append, len(messages))
        return super().send_messages(messages)


told: list[int] = []


@pytest.mark.django_db(transaction=True)
def test_the_backend_finds_the_loop_as_without_notifyguard(plain, settings):
    use_backend(settings, f"{__name__}.AsksForTheLoop")
    assert asyncio.run(directly()) == 1
    assert told == [1]
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("postgresql", "mariadb")
def test_a_connection_of_the_loops_thread_is_left_as_it_was(plain):
    open_before = number(connection)
    asyncio.run(directly())
    assert number(connection) == open_before
    connection.close()
    switchboard.forget()
    asyncio.run(directly())
    assert connection.connection is None
