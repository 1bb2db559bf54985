"""Sending from a running event loop: judged like any other mail, by the stack that sends it."""

from __future__ import annotations

import asyncio

import pytest
from django.core.mail import mail_admins

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import passes
from notifyguard.decision import Sending
from notifyguard.ledger import new_id
from tests.factories import MessageFactory
from tests.mailbox import letter, rows, staff

pytestmark = pytest.mark.django_db(transaction=True)


async def tell() -> int:
    return int(MessageFactory().send())


async def report() -> None:
    mail_admins("down", "the disk is full")


def test_the_type_is_the_coroutine_that_sends(mailbox):
    assert asyncio.run(tell()) == 1
    (row,) = rows()
    assert (row.state, row.type) == ("sent", f"{__name__}.tell")


def test_error_mail_stays_critical(mailbox, settings):
    settings.ADMINS = staff("admin@example.com")
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=unrestricted("me"))
    asyncio.run(report())
    (row,) = rows()
    assert (row.state, row.type) == ("sent", "django.admins")


def test_the_context_travels(mailbox):
    async def send() -> None:
        with notifyguard.suppressed(reason="test"):
            await tell()
        keyed = letter(key="one")
        assert [keyed.send(), keyed.send()] == [1, 0]

    asyncio.run(send())
    assert [row.state for row in rows()] == ["discarded", "sent"]


def test_the_second_stop_holds_what_a_switch_stops(mailbox):
    board = switchboard.board()
    given = passes.Pass(new_id(), 1, "ticket.modified")
    message = passes.with_pass(letter(), given, board.salt)
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("me"))

    async def send() -> int:
        return int(message.send())

    assert asyncio.run(send()) == 0
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "switch")
    assert mailbox.accepted() == []
