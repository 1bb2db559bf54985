"""All of Django's test classes, and settings that change in the middle, pass the gate."""

from __future__ import annotations

import unittest
import urllib.request
from typing import Any

import django
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import (
    LiveServerTestCase,
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    override_settings,
)
from django.urls import path

from tests.recording import recording_gate


def send(request: HttpRequest | None = None) -> HttpResponse:
    """A view, and also called directly."""
    mail.send_mail("hello", "body", "from@example.com", ["to@example.com"])
    return HttpResponse("sent")


urlpatterns = [path("send/", send)]


def with_backend(backend: str) -> Any:
    if django.VERSION >= (6, 1):
        return override_settings(MAILERS={"default": {"BACKEND": backend}})
    return override_settings(EMAIL_BACKEND=backend)


class Asking:
    """The same tests for each class; ``super`` of the fixture is Django's."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.gate = self.enterContext(recording_gate())  # type: ignore[attr-defined]

    def test_a_mail_asks_and_lands_in_the_outbox(self) -> None:
        send()
        assert self.gate.subjects == ["hello"]
        assert [message.subject for message in mail.outbox] == ["hello"]

    def test_the_backend_may_change_in_the_middle(self) -> None:
        with with_backend("django.core.mail.backends.dummy.EmailBackend"):
            send()
        with with_backend("tests.duck_backends.Duck"):
            send()
        send()
        backends = [type(asked.backend).__module__ for asked in self.gate.asked]
        assert [name.rpartition(".")[2] for name in backends] == [
            "dummy",
            "duck_backends",
            "locmem",
        ]
        assert len(mail.outbox) == 1


class InSimpleTestCase(Asking, SimpleTestCase):
    pass


class InTestCase(Asking, TestCase):
    pass


class InTransactionTestCase(Asking, TransactionTestCase):
    pass


@override_settings(ROOT_URLCONF=__name__)
class InLiveServerTestCase(Asking, LiveServerTestCase):
    def test_the_server_thread_asks(self) -> None:
        with urllib.request.urlopen(f"{self.live_server_url}/send/", timeout=10) as response:
            assert response.read() == b"sent"
        assert self.gate.subjects == ["hello"]


@override_settings(ROOT_URLCONF=__name__)
class InTheTestClient(SimpleTestCase):
    def test_a_view_asks(self) -> None:
        with recording_gate() as gate:
            self.client.get("/send/")
        assert gate.subjects == ["hello"]


class InPlainUnittest(Asking, unittest.TestCase):
    pass


def test_pytest_djangos_outbox_sees_what_was_let_through(mailoutbox: list[Any]) -> None:
    with recording_gate() as gate:
        send()
    assert gate.subjects == [message.subject for message in mailoutbox] == ["hello"]


def test_the_gate_may_refuse_and_the_outbox_stays_empty(mailoutbox: list[Any]) -> None:
    with recording_gate() as gate:
        gate.refuses = True
        assert mail.send_mail("hello", "body", "from@example.com", ["to@example.com"]) == 0
    assert mailoutbox == []
