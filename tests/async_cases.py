"""Async tests as a project writes them: test class x way of sending x light or full.

Not named ``test_``: collected by way of ``test_connections_async``, and run by Django's own
runner over a database in memory.
"""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.test.testcases import DatabaseOperationForbidden
from django.urls import path

from notifyguard import switchboard
from notifyguard.exceptions import LedgerUnavailable
from tests.mailbox import letter, states


def sync_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(send())


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(send())


def send() -> int:
    return int(letter("ann@example.com", key="1", subject="Hello").send())


urlpatterns = [path("sync/", sync_view), path("async/", async_view)]


async def directly(test: Any) -> Any:
    return send()


async def by_sync_to_async(test: Any) -> Any:
    return await sync_to_async(send)()


async def by_an_async_view(test: Any) -> Any:
    return (await test.async_client.get("/async/")).content


async def by_a_sync_view(test: Any) -> Any:
    return (await test.async_client.get("/sync/")).content


class Sending:
    """``refused``: what a message sent in the loop's own thread ends in; None if it leaves."""

    refused: type[BaseException] | None = None
    refused_elsewhere: type[BaseException] | None = None
    recorded: Any = ["sent"]

    async def ends(self: Any, way: Any, refused: type[BaseException] | None) -> None:
        if refused:
            with pytest.raises(refused):
                await way(self)
        else:
            await way(self)
        assert len(mail.outbox) == (0 if refused else 1)
        if self.recorded is not None:
            assert await sync_to_async(states)() == ([] if refused else self.recorded)

    async def test_directly(self) -> None:
        await self.ends(directly, self.refused)

    async def test_by_sync_to_async(self) -> None:
        await self.ends(by_sync_to_async, self.refused_elsewhere)

    async def test_by_an_async_view(self) -> None:
        await self.ends(by_an_async_view, self.refused)

    async def test_by_a_sync_view(self) -> None:
        await self.ends(by_a_sync_view, self.refused_elsewhere)


class Full:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        full = {"IN_TESTS": "full"}
        self.enterContext(override_settings(NOTIFYGUARD=full, ROOT_URLCONF=__name__))
        switchboard.forget()
        self.addCleanup(switchboard.forget)


@override_settings(ROOT_URLCONF=__name__)
class LightInSimpleTestCase(Sending, SimpleTestCase):
    recorded = None


@override_settings(ROOT_URLCONF=__name__)
class LightInTestCase(Sending, TestCase):
    recorded: Any = []


@override_settings(ROOT_URLCONF=__name__)
class LightInTransactionTestCase(Sending, TransactionTestCase):
    recorded: Any = []


class FullInSimpleTestCase(Full, Sending, SimpleTestCase):
    """Django's own word: this test may not use the database."""

    refused = refused_elsewhere = DatabaseOperationForbidden
    recorded = None


class FullInTestCase(Full, Sending, TestCase):
    """The test's transaction is another thread's than the loop's."""

    refused = LedgerUnavailable


class FullInTransactionTestCase(Full, Sending, TransactionTestCase):
    pass
