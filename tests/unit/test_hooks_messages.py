"""``EmailMessage`` behaves as Django's, whatever a project or a test does to ``send``."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends import locmem

from notifyguard.hooks.messages import CONNECTION, GuardedSend
from notifyguard.notification import PASS_HEADER
from tests.recording import RecordingGate, recording_gate


@pytest.fixture(autouse=True)
def gate() -> Iterator[RecordingGate]:
    with recording_gate() as recording:
        yield recording


def message(cls: Any = EmailMessage, **options) -> Any:
    return cls("hello", "body", "from@example.com", ["to@example.com"], **options)


def test_send_on_the_class_is_djangos_own_function() -> None:
    assert isinstance(vars(EmailMessage)["send"], GuardedSend)
    assert inspect.isfunction(EmailMessage.send)
    assert EmailMessage.send.__module__ == "django.core.mail.message"
    assert inspect.getsourcefile(EmailMessage.send) == inspect.getsourcefile(EmailMessage)


def test_send_on_a_message_adds_no_frame() -> None:
    bound = message().send
    assert inspect.ismethod(bound)
    assert bound.__func__ is EmailMessage.send


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 deprecated fail_silently")
def test_a_deprecation_still_names_the_code_that_called() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        message().send(fail_silently=True)
    assert {warning.filename for warning in caught} == {__file__}


def test_looking_send_up_does_nothing_to_the_message() -> None:
    looked_at = message()
    before = dict(vars(looked_at))
    assert hasattr(looked_at, "send")
    assert vars(looked_at) == before


def test_a_subclass_that_renders_and_calls_super_asks_once(gate) -> None:
    # The shape of djoser and django-templated-mail.
    class Rendered(EmailMultiAlternatives):
        def send(self, to, *args, **kwargs) -> None:  # type: ignore[override]
            self.to = to
            super().send(*args, **kwargs)

    assert message(Rendered).send(["other@example.com"]) is None
    assert gate.subjects == ["hello"]
    assert mail.outbox[0].to == ["other@example.com"]


def test_an_interceptor_that_a_project_installed_later_asks_once(gate) -> None:
    seen = []
    original = EmailMessage.send

    def intercepted(self, *args, **kwargs):
        seen.append(self.subject)
        return original(self, *args, **kwargs)

    with mock.patch.object(EmailMessage, "send", intercepted):
        assert message().send() == 1
    assert (seen, gate.subjects) == (["hello"], ["hello"])
    assert isinstance(vars(EmailMessage)["send"], GuardedSend)


def test_an_interceptor_that_sends_by_itself_still_asks(gate) -> None:
    def replaced(self, fail_silently=False):
        return locmem.EmailBackend().send_messages([self])

    with mock.patch.object(EmailMessage, "send", replaced):
        assert message().send() == 1
    assert gate.subjects == ["hello"]


def test_an_instance_may_override_send(gate) -> None:
    overridden = message()
    overridden.send = lambda: "mine"
    assert overridden.send() == "mine"
    assert gate.asked == []


@pytest.mark.parametrize("autospec", [None, True])
def test_mock_patch_takes_send_and_gives_it_back(gate, autospec) -> None:
    before = vars(EmailMessage)["send"]
    with mock.patch.object(EmailMessage, "send", autospec=autospec) as send:
        message().send(True)
    send.assert_called_once()
    assert vars(EmailMessage)["send"] is before
    assert gate.asked == []
    message().send()
    assert gate.subjects == ["hello"]


def test_autospec_still_checks_the_arguments() -> None:
    with (
        mock.patch.object(EmailMessage, "send", autospec=True),
        pytest.raises(TypeError, match="unexpected keyword argument 'silent'"),
    ):
        message().send(silent=True)
    mock.create_autospec(EmailMessage)("hello").send()


def test_a_connection_that_came_with_a_pickled_message_asks(gate) -> None:
    class Other:
        def send_messages(self, messages):
            return len(messages)

    restored = message()
    # As pickle and copy do: past the attribute.
    vars(restored)[CONNECTION] = Other()
    assert restored.send() == 1
    assert gate.subjects == ["hello"]


def test_a_message_without_recipients_asks_nothing(gate) -> None:
    assert EmailMessage("hello").send() == 0
    assert gate.asked == []


def test_the_connection_is_an_attribute_as_before() -> None:
    plain, given = message(), message()
    connection = locmem.EmailBackend()
    setattr(given, CONNECTION, connection)
    assert (vars(plain)[CONNECTION], vars(given)[CONNECTION]) == (None, connection)
    assert getattr(given, CONNECTION) is connection
    delattr(given, CONNECTION)
    assert CONNECTION not in vars(given)
    with pytest.raises(AttributeError, match=CONNECTION):
        getattr(given, CONNECTION)
    with pytest.raises(AttributeError, match=CONNECTION):
        delattr(given, CONNECTION)
    assert not hasattr(EmailMessage, CONNECTION)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_messages_are_copied_and_pickled_as_before(copied) -> None:
    original = message(headers={"X-A": "1"})
    assert vars(copied(original)) == vars(original)


class _Rendered(EmailMultiAlternatives):
    def message(self, *args, **kwargs):
        return super().message(*args, **kwargs)


@pytest.mark.parametrize("cls", [EmailMessage, EmailMultiAlternatives, _Rendered])
@pytest.mark.parametrize("header", [PASS_HEADER, PASS_HEADER.lower()])
def test_the_pass_never_shows(cls, header) -> None:
    passed = message(cls, headers={header: "signed", "X-Kept": "yes"})
    built = passed.message()
    assert PASS_HEADER not in built
    assert built["X-Kept"] == "yes"
    assert PASS_HEADER.lower().encode() not in built.as_bytes().lower()
    assert passed.extra_headers[header] == "signed"


def test_the_pass_of_an_attached_message_never_shows() -> None:
    outer = message()
    outer.attach("inner.eml", message(headers={PASS_HEADER: "signed"}), "message/rfc822")
    assert PASS_HEADER.encode() not in outer.message().as_bytes()


def test_message_takes_what_djangos_takes() -> None:
    import email.policy

    if django.VERSION >= (6, 0):
        assert message().message(policy=email.policy.SMTP).policy is email.policy.SMTP
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        message().message(colour="red")
