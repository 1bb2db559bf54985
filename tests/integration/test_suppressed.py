"""Code that says it notifies nobody, all the way to the mail server: however it is run."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest
from asgiref.sync import sync_to_async
from django.core.mail import mail_admins
from django.db import connection, connections, transaction

import notifyguard
from notifyguard.models import Claim
from tests.mailbox import letter, outcomes, rows, states

pytestmark = pytest.mark.django_db(transaction=True)

backfill = functools.partial(notifyguard.suppressed, "ticket.*", reason="backfill")
inform = functools.partial(notifyguard.unsuppressed, "ticket.announced", reason="tell owners")


# Django 6.0 deprecates the pair that 5.2 asks for.
ADMIN = "admin@example.com" if django.VERSION >= (6, 0) else ("Admin", "admin@example.com")


def send(*to: str, **more: Any) -> Any:
    return letter(*(to or ("ann@example.com",)), **more).send()


def and_close(func: Callable[[], Any]) -> Callable[[], Any]:
    """For other threads: a connection left open keeps the test database from being dropped."""

    @functools.wraps(func)
    def run() -> Any:
        try:
            return func()
        finally:
            connections.close_all()

    return run


async def send_async(*to: str) -> Any:
    return await sync_to_async(and_close(functools.partial(send, *to)))()


def test_what_is_suppressed_is_told_so_and_recorded_with_its_reason(mailbox):
    message = letter("ann@example.com")
    with backfill():
        assert message.send() == 0
    assert mailbox.accepted() == []
    assert outcomes(message) == {"ann@example.com": "discarded"}
    (row,) = rows()
    assert (row.state, row.rule, row.reason) == ("discarded", "suppressed", "backfill")


def test_other_types_and_code_outside_of_the_block_notify(mailbox):
    with backfill():
        send("bob@example.com", type="invoice.sent")
    send("ann@example.com")
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]


def test_what_a_person_suppresses_covers_the_administrators_too(mailbox, settings):
    settings.ADMINS = [ADMIN]
    with notifyguard.suppressed(reason="backfill"):
        mail_admins("Broken", "Look at it.")
    assert mailbox.accepted() == []


def test_what_a_person_suppresses_is_obeyed_around_a_migration_that_is_only_observed(
    mailbox, settings
):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    with notifyguard.suppressed("ticket.*", reason="backfill", automatic=True):
        send("bob@example.com")
        with backfill():
            send()
    with backfill(), notifyguard.suppressed("ticket.*", reason="migrate", automatic=True):
        send()
    assert mailbox.recipients() == ["bob@example.com"]
    assert {row.reason for row in rows(state="discarded")} == {"backfill"}


def test_the_inform_step_informs_once_with_the_key_that_was_suppressed(mailbox):
    with backfill():
        send(key="1", type="ticket.announced")
        assert not Claim.objects.exists()
        for _ in range(2):
            with inform():
                send(key="1", type="ticket.announced", subject="Hello")
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["discarded", "sent"]


def test_a_decorated_function_notifies_nobody(mailbox):
    assert backfill()(send)() == 0
    assert send() == 1
    assert len(mailbox.accepted()) == 1


def test_a_decorated_coroutine_notifies_nobody(mailbox):
    @backfill()
    async def work() -> Any:
        await asyncio.sleep(0)
        return await send_async()

    assert asyncio.run(work()) == 0
    assert mailbox.accepted() == []


def test_an_async_block_covers_its_tasks_and_not_those_beside_it(mailbox):
    async def suppressed_part() -> None:
        async with backfill():
            await asyncio.gather(send_async(), send_async())

    async def both() -> None:
        await asyncio.gather(suppressed_part(), send_async("bob@example.com"))

    asyncio.run(both())
    assert mailbox.recipients() == ["bob@example.com"]
    assert states() == ["discarded", "discarded", "sent"]


def generate() -> Any:
    yield send()


async def generate_async() -> Any:
    yield send()


@pytest.mark.parametrize("function", [generate, generate_async])
@pytest.mark.parametrize("wrap", [backfill(), notifyguard.bind], ids=["suppressed", "bind"])
def test_a_generator_is_refused_because_it_runs_outside_of_the_block(wrap, function):
    with pytest.raises(TypeError, match=rf"{function.__name__} is a generator"):
        wrap(function)


def test_a_bound_function_keeps_its_context_in_a_thread_and_a_plain_one_does_not(mailbox):
    plain = functools.partial(send, "bob@example.com")
    with backfill():
        work = [notifyguard.bind(and_close(send)), and_close(plain)]
        threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mailbox.recipients() == ["bob@example.com"]


def test_a_bound_function_keeps_its_context_in_an_executor(mailbox):
    with ThreadPoolExecutor(1) as executor:
        with backfill():
            work = notifyguard.bind(and_close(send))
        assert [executor.submit(work).result() for _ in range(2)] == [0, 0]
        assert executor.submit(and_close(send)).result() == 1
    assert len(mailbox.accepted()) == 1


def test_what_waits_for_the_commit_stays_suppressed(mailbox):
    with transaction.atomic():
        with backfill():
            transaction.on_commit(send)
        transaction.on_commit(functools.partial(send, "bob@example.com"))
    assert mailbox.recipients() == ["bob@example.com"]


def test_what_is_suppressed_in_a_transaction_is_recorded_with_it(mailbox):
    with backfill():
        with transaction.atomic():
            send(key="1")
            transaction.set_rollback(True)
        assert rows() == []
        with transaction.atomic():
            send(key="1")
    assert mailbox.accepted() == []
    assert states() == ["discarded"]


def test_an_inform_step_in_a_suppressed_transaction_leaves_on_its_commit(mailbox):
    with backfill(), transaction.atomic():
        send("bob@example.com")
        with inform():
            send(key="1", type="ticket.announced")
        assert mailbox.accepted() == []
        assert connection.in_atomic_block
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["discarded", "sent"]


@pytest.mark.parametrize("pattern", ["", " ", "ticket.?", "ticket.[ab]", "ticket.\n"])
@pytest.mark.parametrize("block", [notifyguard.suppressed, notifyguard.unsuppressed])
def test_a_pattern_that_can_match_nothing_is_refused(block, pattern):
    with pytest.raises(ValueError, match="is no pattern of notification types"):
        block(pattern, reason="backfill")
