"""What is made of the word of backends that are not SMTP: the table, line by line."""

from __future__ import annotations

import functools
import inspect
import io
import smtplib
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends import console, dummy, filebased, locmem, smtp
from django.core.mail.backends.base import BaseEmailBackend

from notifyguard.backends.smtp import EmailBackend
from notifyguard.channels.transport import Verdict, is_synchronous, transport_for


def transport_of(backend):
    return transport_for(backend, inspect.unwrap(type(backend).send_messages).__get__(backend))


def letter(**attributes) -> Any:
    message = EmailMessage("Hello", "text", "from@example.com", ["to@example.com"])
    vars(message).update(attributes)
    return message


def deliver(backend, message=None):
    transport = transport_of(backend)
    message = message or letter()
    transport.prepare(message)
    assert transport.open()
    try:
        return transport.deliver(message)
    finally:
        transport.close()


class Unknown(BaseEmailBackend):
    """A project's own backend: it returns, or raises, what it was told to."""

    def __init__(self, outcome, *, fail_silently=False):
        super().__init__(alias="default")
        self.outcome = outcome
        self.fail_silently = fail_silently

    def send_messages(self, email_messages):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("returned", "loud", "silent"),
    [
        (1, Verdict.ACCEPTED, Verdict.ACCEPTED),
        (True, Verdict.ACCEPTED, Verdict.ACCEPTED),
        (0, Verdict.UNKNOWN, Verdict.UNKNOWN),
        (["task"], Verdict.ACCEPTED, Verdict.ACCEPTED),
        ([], Verdict.UNKNOWN, Verdict.UNKNOWN),
        (None, Verdict.ACCEPTED, Verdict.UNKNOWN),
        (object(), Verdict.ACCEPTED, Verdict.UNKNOWN),
    ],
)
def test_what_an_unknown_backends_return_value_proves(returned, loud, silent):
    receipt = deliver(Unknown(returned))
    assert (receipt.returned, receipt.error, receipt.verdict) == (returned, None, loud)
    assert deliver(Unknown(returned, fail_silently=True)).verdict is silent


@pytest.mark.parametrize(
    ("error", "verdict", "detail"),
    [
        (smtplib.SMTPSenderRefused(550, b"no", "a@b.c"), Verdict.REFUSED, "550 no"),
        (smtplib.SMTPDataError(554, b"no"), Verdict.REFUSED, "554 no"),
        (smtplib.SMTPDataError(251, b"hm"), Verdict.UNKNOWN, "251 hm"),
        (smtplib.SMTPAuthenticationError(535, b"no"), Verdict.REFUSED, "535 no"),
        (smtplib.SMTPConnectError(421, b"<a@b.c> busy"), Verdict.REFUSED, "421 <address> busy"),
        (smtplib.SMTPNotSupportedError("no AUTH"), Verdict.REFUSED, "SMTPNotSupportedError"),
        (smtplib.SMTPResponseException(500, "Line too long."), Verdict.UNKNOWN, None),
        (smtplib.SMTPServerDisconnected("gone"), Verdict.UNKNOWN, "SMTPServerDisconnected"),
        (TimeoutError("to@example.com"), Verdict.UNKNOWN, "TimeoutError"),
        (ValueError("to@example.com"), Verdict.UNKNOWN, "ValueError"),
    ],
)
def test_what_an_unknown_backends_exception_proves(error, verdict, detail):
    receipt = deliver(Unknown(error))
    assert (receipt.error, receipt.returned, receipt.verdict) == (error, None, verdict)
    assert receipt.detail == (detail or "500 Line too long.")


def test_refusals_are_read_from_the_exception():
    error = smtplib.SMTPRecipientsRefused({"A <a@b.c>": (550, b"5.1.1 no\nsuch user")})
    receipt = deliver(Unknown(error))
    assert receipt.verdict is Verdict.REFUSED
    assert receipt.refused == {"a@b.c": "550 5.1.1 no such user"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_swallowed(error):
    def inner(messages):
        raise error

    with pytest.raises(error):
        transport_for(Unknown(1), inner).deliver(letter())


def test_an_unknown_backend_is_not_opened_because_it_may_send_from_a_thread():
    class Opening(Unknown):
        def open(self):
            raise AssertionError("opened")

    assert deliver(Opening(1)).verdict is Verdict.ACCEPTED


def test_a_backend_that_only_looks_like_one():
    duck = type("Duck", (), {"send_messages": lambda self, messages: len(messages)})()
    assert deliver(duck).verdict is Verdict.ACCEPTED
    assert not is_synchronous(duck)


def test_a_proxy_that_finds_its_methods_elsewhere():
    class Proxy:
        def __getattr__(self, name):
            return getattr(dummy.EmailBackend(alias="default"), name)

    receipt = transport_for(Proxy(), Proxy().send_messages).deliver(letter())
    assert receipt.verdict is Verdict.ACCEPTED
    assert not is_synchronous(Proxy())


def test_the_dummy_backend_is_believed():
    assert deliver(dummy.EmailBackend(alias="default")).verdict is Verdict.ACCEPTED


def test_what_locmem_raises_is_proof_that_nothing_left():
    mail.outbox = []
    backend = locmem.EmailBackend(alias="default")
    assert deliver(backend).verdict is Verdict.ACCEPTED
    receipt = deliver(backend, letter(subject="a\nb"))
    assert isinstance(receipt.error, ValueError)
    assert receipt.verdict is Verdict.REFUSED
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("silent", [False, True])
def test_the_console_tells_even_when_it_fails_in_silence(silent):
    stream = io.StringIO()
    backend = console.EmailBackend(alias="default", stream=stream, fail_silently=silent)
    assert deliver(backend).verdict is Verdict.ACCEPTED
    assert "Subject: Hello" in stream.getvalue()
    stream.close()
    assert deliver(backend).verdict is Verdict.REFUSED


def test_the_file_backend_is_believed(tmp_path):
    backend = filebased.EmailBackend(alias="default", file_path=str(tmp_path))
    assert deliver(backend).verdict is Verdict.ACCEPTED
    assert "Subject: Hello" in next(tmp_path.iterdir()).read_text()


# anymail: its own backend for tests, which runs anymail's real send_messages.


@pytest.fixture
def anymail():
    mail.outbox = []
    from anymail.backends.test import EmailBackend

    return EmailBackend


def recipient(status):
    from anymail.message import AnymailRecipientStatus

    return AnymailRecipientStatus(message_id="1", status=status)


def answer(**statuses):
    """Return what the ESP says of each recipient, by local part."""
    return {
        "recipient_status": {
            f"{name}@example.com": recipient(status) for name, status in statuses.items()
        }
    }


@pytest.mark.needs("anymail")
@pytest.mark.parametrize(
    ("statuses", "verdict", "refused"),
    [
        ({"a": "sent", "b": "queued"}, Verdict.ACCEPTED, {}),
        ({"a": "unknown"}, Verdict.ACCEPTED, {}),
        ({"a": "sent", "b": "rejected"}, Verdict.ACCEPTED, {"b@example.com": "rejected"}),
        (
            {"a": "invalid", "b": "rejected"},
            Verdict.REFUSED,
            {"a@example.com": "invalid", "b@example.com": "rejected"},
        ),
    ],
)
def test_anymails_status_is_believed_even_when_it_raises(anymail, statuses, verdict, refused):
    message = letter(
        to=[f"{name}@example.com" for name in statuses], anymail_test_response=answer(**statuses)
    )
    receipt = deliver(anymail(alias="default"), message)
    assert (receipt.verdict, receipt.refused) == (verdict, refused)
    assert (receipt.error is not None) == (verdict is Verdict.REFUSED)


@pytest.mark.needs("anymail")
def test_anymails_status_is_believed_although_a_receiver_failed_after_the_send(anymail):
    from anymail.signals import post_send

    def fails(**kwargs):
        raise RuntimeError

    post_send.connect(fails)
    try:
        receipt = deliver(anymail(alias="default"))
    finally:
        post_send.disconnect(fails)
    assert isinstance(receipt.error, RuntimeError)
    assert receipt.verdict is Verdict.ACCEPTED


@pytest.mark.needs("anymail")
def test_an_api_error_proves_nothing_and_the_status_of_an_earlier_send_neither(anymail):
    from anymail.exceptions import AnymailAPIError

    message = letter()
    assert deliver(anymail(alias="default"), message).verdict is Verdict.ACCEPTED
    message.anymail_test_response = AnymailAPIError("timed out")
    receipt = deliver(anymail(alias="default"), message)
    assert (receipt.verdict, receipt.detail) == (Verdict.UNKNOWN, "AnymailAPIError")


@pytest.mark.needs("anymail")
def test_a_status_left_from_an_earlier_send_is_no_evidence_for_this_one(anymail):
    message = letter()
    deliver(anymail(alias="default"), message)
    assert message.anymail_status.status == {"sent"}
    assert deliver(Unknown(TimeoutError()), message).verdict is Verdict.UNKNOWN


@pytest.mark.needs("anymail")
def test_a_send_that_anymails_pre_send_cancelled_did_not_happen(anymail):
    from anymail.exceptions import AnymailCancelSend
    from anymail.signals import pre_send

    def cancel(**kwargs):
        raise AnymailCancelSend

    pre_send.connect(cancel)
    try:
        receipt = deliver(anymail(alias="default"))
    finally:
        pre_send.disconnect(cancel)
    assert (receipt.returned, receipt.verdict) == (0, Verdict.REFUSED)


@pytest.mark.needs("anymail")
def test_one_session_serves_a_whole_batch_and_is_closed_at_the_end(anymail):
    calls = []

    class Session(anymail):  # type: ignore[misc, valid-type]
        def open(self):
            calls.append("open")
            return len(calls) == 1

        def close(self):
            calls.append("close")

    transport = transport_of(Session(alias="default"))
    transport.open()
    transport.deliver(letter())
    transport.deliver(letter())
    transport.close()
    assert calls == ["open", "open", "open", "close"]


# Which backends are known to have sent when they return.


@functools.wraps(locmem.EmailBackend.send_messages)
def guarded(self, *args, **kwargs):
    """Stands in for the seam's wrapper."""


@pytest.mark.parametrize(
    ("base", "overridden", "known"),
    [
        (smtp.EmailBackend, {}, True),
        (EmailBackend, {}, True),
        (locmem.EmailBackend, {}, True),
        (console.EmailBackend, {}, True),
        (filebased.EmailBackend, {"open": lambda self: None}, True),
        (locmem.EmailBackend, {"send_messages": guarded}, True),
        (smtp.EmailBackend, {"send_messages": lambda self, messages: 1}, False),
        (BaseEmailBackend, {"send_messages": lambda self, messages: 1}, False),
        (BaseEmailBackend, {}, False),
    ],
)
def test_only_code_that_is_known_is_taken_to_be_synchronous(base, overridden, known):
    cls = type("Backend", (base,), overridden)
    assert is_synchronous(object.__new__(cls)) is known


def test_a_method_replaced_on_the_instance_is_nobodys_known_code():
    backend = locmem.EmailBackend(alias="default")
    vars(backend)["send_messages"] = lambda messages: 1
    assert not is_synchronous(backend)
