"""Every way out of Django passes the gate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends import base, dummy, locmem

from notifyguard import hooks
from tests.recording import SENT, RecordingGate, choose_backend, message, recording_gate

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
def test_a_method_that_stands_on_the_connection_alone_asks(gate) -> None:
    connection: Any = SimpleNamespace(send_messages=len)
    for subject in ("one", "two"):  # and is guarded once
        assert message(subject, connection=connection).send() == 1
    assert gate.subjects == ["one", "two"]
    hooks.uninstall()
    try:
        assert message("three", connection=connection).send() == 1
    finally:
        hooks.install()
    assert gate.subjects == ["one", "two"]


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
