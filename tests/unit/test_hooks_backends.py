"""Every way out of Django passes the gate, and the caller cannot tell."""

from __future__ import annotations

import inspect
import smtplib
import sys
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends import base, dummy, locmem, smtp

from notifyguard import hooks
from notifyguard.hooks import patching
from tests import duck_backends
from tests.recording import RecordingGate, recording_gate

with_mailers = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
# What Django 6.1 deprecates and earlier ones only know.
deprecated = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
# Backends may define ``send_messages`` in ways that its annotations do not know.
BaseEmailBackend: Any = base.BaseEmailBackend
OUT = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def gate() -> Iterator[RecordingGate]:
    with recording_gate() as recording:
        yield recording


def message(subject: str = "hello", **options) -> Any:
    return EmailMessage(subject, "body", "from@example.com", ["to@example.com"], **options)


def choose_backend(settings, path: str, **options) -> None:
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": path, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND = path


SENT = ("hello", "body", "from@example.com", ["to@example.com"])


@pytest.mark.parametrize(
    "way_out",
    [
        lambda: message().send(),
        lambda: EmailMessage.send(message()),
        lambda: mail.send_mail(*SENT),
        lambda: mail.send_mass_mail([SENT]),
        lambda: mail.mail_admins("hello", "body"),
        lambda: mail.mail_managers("hello", "body"),
        lambda: locmem.EmailBackend().send_messages([message()]),
        lambda: dummy.EmailBackend().send_messages([message()]),
    ],
    ids=["send", "class", "send_mail", "mass", "admins", "managers", "locmem", "dummy"],
)
def test_every_function_of_django_asks_once(gate, settings, way_out) -> None:
    people = ["a@example.com"] if django.VERSION >= (6, 0) else [("A", "a@example.com")]
    settings.ADMINS = settings.MANAGERS = people
    settings.EMAIL_SUBJECT_PREFIX = ""
    way_out()
    assert gate.subjects == ["hello"]


@with_mailers
def test_mailers_ask(gate, settings) -> None:
    settings.MAILERS = {"other": {"BACKEND": OUT}, "duck": {"BACKEND": "tests.duck_backends.Duck"}}
    mail.mailers["other"].send_messages([message("one")])
    message("two").send(using="duck")
    assert gate.subjects == ["one", "two"]


@deprecated
def test_a_connection_asked_for_by_hand_asks(gate) -> None:
    mail.get_connection().send_messages([message()])
    assert gate.subjects == ["hello"]


@pytest.mark.parametrize("path", ["tests.duck_backends.Duck", "tests.duck_backends.make_teal"])
def test_a_backend_that_only_looks_like_one_asks(gate, settings, path) -> None:
    choose_backend(settings, path)
    message().send()
    assert gate.subjects == ["hello"]


@deprecated
def test_a_connection_that_only_looks_like_one_asks(gate) -> None:
    class Other:
        def send_messages(self, messages):
            return len(messages)

    assert message(connection=Other()).send() == 1
    assert gate.subjects == ["hello"]


@deprecated
def test_send_mass_mail_over_a_connection_that_only_looks_like_one_asks(gate) -> None:
    class Other:
        def send_messages(self, messages):
            return len(messages)

    duck: Any = Other()
    assert mail.send_mass_mail([SENT, SENT], connection=duck) == 2
    assert gate.subjects == ["hello", "hello"]


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="Django 6.1 refuses get_connection()")
def test_what_a_messages_own_get_connection_returns_asks(gate) -> None:
    class Other:
        def send_messages(self, messages):
            return len(messages)

    class Mine(EmailMessage):
        def get_connection(self, fail_silently=False):
            return Other()

    assert Mine("hello", to=["to@example.com"]).send() == 1
    assert gate.subjects == ["hello"]


@pytest.mark.parametrize(
    ("replaced", "module"),
    [(True, "notifyguard.backends.smtp"), (False, "django.core.mail.backends.smtp")],
)
def test_a_setting_puts_our_smtp_backend_in_place_of_djangos(
    gate, settings, replaced, module
) -> None:
    gate.refuses = True
    settings.NOTIFYGUARD = {"REPLACE_SMTP_BACKEND": replaced}
    choose_backend(settings, "django.core.mail.backends.smtp.EmailBackend", host="localhost")
    assert message().send() == 0
    assert type(gate.asked[0].backend).__module__ == module


def test_classes_made_later_ask(gate) -> None:
    class Later(BaseEmailBackend):
        def send_messages(self, email_messages):
            return len(email_messages)

    class Mixin:
        def send_messages(self, email_messages):
            return len(email_messages)

    class Mixed(Mixin, BaseEmailBackend):
        pass

    assert Later().send_messages([message("later")]) == 1
    assert Mixed().send_messages([message("mixed")]) == 1
    assert gate.subjects == ["later", "mixed"]


def test_init_subclass_arguments_reach_other_bases(gate) -> None:
    seen = []

    class Registered:
        def __init_subclass__(cls, name="", **kwargs):
            super().__init_subclass__(**kwargs)
            seen.append(name)

    class Both(BaseEmailBackend, Registered, name="both"):
        pass

    assert seen == ["both"]


def test_a_backend_that_sends_in_a_thread_asks(gate) -> None:
    class Threaded(locmem.EmailBackend):
        def send_messages(self, messages):
            thread = threading.Thread(target=super().send_messages, args=[messages])
            thread.start()
            thread.join()
            return len(messages)

    assert Threaded().send_messages([message()]) == 1
    # Asked on the way in and where the real sending is; the pass tells the gate of the first.
    assert gate.subjects == ["hello", "hello"]


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
