"""The guarded ``send_messages`` looks, returns and raises as the one it guards."""

from __future__ import annotations

import inspect
import smtplib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends import base, dummy, locmem, smtp

from notifyguard import hooks
from notifyguard.hooks import patching
from tests import duck_backends
from tests.recording import SENT, RecordingGate, choose_backend, message, recording_gate

# Backends may define ``send_messages`` in ways that its annotations do not know.
BaseEmailBackend: Any = base.BaseEmailBackend


@pytest.fixture
def gate() -> Iterator[RecordingGate]:
    with recording_gate() as recording:
        yield recording


@pytest.mark.parametrize("returned", [1, 0, None, [1, "task"]])
def test_what_the_backend_returns_is_what_the_caller_gets(gate, returned) -> None:
    class Backend(BaseEmailBackend):
        def send_messages(self, email_messages):
            return returned

    assert Backend().send_messages([message()]) is returned


def test_what_the_backend_raises_is_what_the_caller_gets(gate) -> None:
    refused = smtplib.SMTPSenderRefused(550, b"no", "from@example.com")

    class Backend(BaseEmailBackend):
        def send_messages(self, email_messages):
            raise refused

    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        Backend().send_messages([message()])
    assert caught.value is refused


def test_the_backend_is_called_as_the_caller_called(gate) -> None:
    calls = []

    class Backend(BaseEmailBackend):
        def send_messages(self, email_messages, *rest, **options):
            calls.append((email_messages, rest, options))
            return 1

    messages = [message()]
    Backend().send_messages(messages)
    Backend().send_messages(email_messages=messages)
    Backend().send_messages(messages, 7, priority="now")
    Backend().send_messages(priority="now", email_messages=messages)
    assert [(rest, options) for _, rest, options in calls] == [
        ((), {}),
        ((), {}),
        ((7,), {"priority": "now"}),
        ((), {"priority": "now"}),
    ]
    assert all(given is messages for given, *_ in calls)
    assert all(asked.messages is messages for asked in gate.asked)


def test_a_parameter_may_have_any_name(gate) -> None:
    class Anything(BaseEmailBackend):
        def send_messages(self, **kwargs):
            return len(kwargs["batch"])

    locmem.EmailBackend().send_messages(messages=[message("messages")])
    assert Anything().send_messages(batch=[message("batch")]) == 1
    assert gate.subjects == ["messages", "batch"]


def test_a_call_that_cannot_work_fails_as_without_us(gate) -> None:
    backend: Any = dummy.EmailBackend()
    with pytest.raises(TypeError, match=r"send_messages\(\) missing 1 required positional"):
        backend.send_messages()
    assert gate.asked == []


def test_methods_of_every_kind_are_guarded(gate) -> None:
    class Still(BaseEmailBackend):
        @staticmethod
        def send_messages(email_messages):
            return "static"

    class Classy(BaseEmailBackend):
        @classmethod
        def send_messages(cls, email_messages):
            return cls

    class Called(BaseEmailBackend):
        send_messages: Any = len

    assert Still().send_messages([message("a")]) == "static"
    assert Classy().send_messages(email_messages=[message("b")]) is Classy
    assert Called().send_messages([message("c")]) == 1
    assert gate.subjects == ["a", "b", "c"]


def test_the_method_looks_as_it_did(gate) -> None:
    method = smtp.EmailBackend.send_messages
    assert method.__qualname__ == "EmailBackend.send_messages"
    assert method.__module__ == "django.core.mail.backends.smtp"
    assert list(inspect.signature(method).parameters) == ["self", "email_messages"]
    assert method.__doc__ == inspect.unwrap(method).__doc__


def test_installing_again_wraps_nothing_twice(gate) -> None:
    before = vars(smtp.EmailBackend)["send_messages"], vars(EmailMessage)["send"]
    hooks.install()
    mail.send_mail(*SENT)
    assert (vars(smtp.EmailBackend)["send_messages"], vars(EmailMessage)["send"]) == before
    assert gate.subjects == ["hello"]


def test_an_own_method_put_in_place_later_is_guarded_at_the_next_use(gate, settings) -> None:
    def mine(self, messages):
        return 42

    choose_backend(settings, "tests.duck_backends.Duck")
    message("before").send()
    with mock.patch.object(duck_backends.Duck, "send_messages", mine):
        assert message("during").send() == 42
    assert gate.subjects == ["before", "during"]
    assert patching.is_ours(vars(duck_backends.Duck)["send_messages"])


@pytest.mark.parametrize("autospec", [None, True])
def test_a_mock_stays_the_tests_own(gate, settings, autospec) -> None:
    choose_backend(settings, "tests.duck_backends.Duck")
    with mock.patch.object(duck_backends.Duck, "send_messages", autospec=autospec) as sent:
        message().send()
        assert duck_backends.Duck.send_messages is sent
    sent.assert_called_once()
    assert gate.asked == []


def test_a_backend_class_is_not_kept_alive(gate) -> None:
    import gc
    import weakref

    def make():
        class Backend(BaseEmailBackend):
            def send_messages(self, email_messages):
                return super().send_messages(email_messages)

        return weakref.ref(Backend)

    made = make()
    gc.collect()
    assert made() is None


def test_the_gate_is_found_at_each_call(gate) -> None:
    with recording_gate() as other:
        mail.send_mail(*SENT)
    assert (other.subjects, gate.subjects) == (["hello"], [])
    assert sys.modules["notifyguard.gate"].send_messages == gate.send_messages
