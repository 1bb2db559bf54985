"""Our SMTP backend beside Django's: the caller cannot tell them apart, the ledger can."""

from __future__ import annotations

import inspect
import smtplib
import socket

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from notifyguard.backends.smtp import EmailBackend
from notifyguard.channels.evidence import Phase, Verdict
from tests.smtp import running_sink


@pytest.fixture(scope="module")
def sink():
    with running_sink("--no-fsync") as sink:
        yield sink


def create(cls, port, **options):
    # An alias keeps Django 6.1 from warning; earlier Djangos ignore it.
    options = {"alias": "default", "timeout": 10} | options
    return cls(host="127.0.0.1", port=port, **options)


def letter(*to) -> EmailMessage:
    return EmailMessage("Hello", "text", "from@example.com", list(to))


def send(backend, *messages):
    """Send past the guard; return what is returned, or the exception's repr()."""
    try:
        return inspect.unwrap(type(backend).send_messages)(backend, messages)
    except Exception as error:
        return repr(error)


BATCHES = [
    [],
    [[]],
    [["a@example.com"]],
    [["a@example.com"], ["b@example.com", "refuse-550@example.com"]],
    [["a@example.com"], ["refuse-550@example.com"], ["c@example.com"]],
    [["data-554@example.com"], ["c@example.com"]],
    [["drop-before@example.com"], ["c@example.com"]],
    [["drop-after@example.com"], ["c@example.com"]],
    [["not an address"]],
]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("batch", BATCHES, ids=repr)
def test_the_caller_sees_what_django_shows(sink, batch, silent):
    outcomes = []
    for cls in (smtp.EmailBackend, EmailBackend):
        before = len(sink.accepted())
        backend = create(cls, sink.port, fail_silently=silent)
        result = send(backend, *(letter(*to) for to in batch))
        accepted = [line["to"] for line in sink.accepted()[before:]]
        outcomes.append((result, accepted, backend.connection))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("silent", [False, True])
def test_refusals_and_phase_are_kept(sink, silent):
    backend = create(EmailBackend, sink.port, fail_silently=silent)
    send(backend, letter("a@example.com", "refuse-550@example.com"))
    assert backend.evidence.refused == {"refuse-550@example.com": "550 5.1.1 No such mailbox here"}
    assert backend.evidence.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    ("recipient", "said", "verdict"),
    [
        ("data-554@example.com", "554 5.6.0 Content not welcome", Verdict.REFUSED),
        ("drop-after@example.com", "SMTPServerDisconnected", Verdict.UNKNOWN),
    ],
)
def test_how_far_a_failed_message_got_is_kept(sink, silent, recipient, said, verdict):
    backend = create(EmailBackend, sink.port, fail_silently=silent)
    send(backend, letter(recipient))
    assert backend.evidence.phase is Phase.DOT
    assert (backend.evidence.said, backend.evidence.verdict) == (said, verdict)


def test_an_over_long_reply_to_quit_does_not_turn_a_sent_message_into_an_error(sink):
    message = letter("longquit@example.com")
    assert "Line too long" in send(create(smtp.EmailBackend, sink.port), message)

    backend = create(EmailBackend, sink.port)
    assert send(backend, message) == 1
    assert backend.connection is None
    assert backend.evidence.verdict is Verdict.ACCEPTED


def test_leaving_a_with_block_does_not_raise_either(sink):
    with create(EmailBackend, sink.port) as backend:
        assert send(backend, letter("longquit@example.com")) == 1
    assert backend.connection is None


@pytest.mark.parametrize("silent", [False, True])
def test_a_failure_to_connect_leaves_its_phase(silent):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        backend = create(EmailBackend, unused.getsockname()[1], fail_silently=silent)
        if silent:
            assert backend.open() is None
        else:
            with pytest.raises(ConnectionRefusedError):
                backend.open()
    assert backend.fail_silently is silent
    assert backend.evidence.phase is Phase.CONNECT
    assert backend.evidence.verdict is Verdict.REFUSED


def test_a_failure_to_log_in_leaves_its_phase():
    with running_sink("--login", "me:secret", "--no-fsync") as sink:
        backend = create(EmailBackend, sink.port, username="me", password="guess")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            backend.open()
        backend.close()
    assert backend.evidence.phase is Phase.AUTH
    assert backend.evidence.said.startswith("535 ")


def test_the_connection_is_left_as_it_was(sink):
    with create(EmailBackend, sink.port) as backend:
        before = set(vars(backend.connection))
        send(backend, letter("a@example.com"))
        assert not {"sendmail", "putcmd", "send", "getreply"} & set(vars(backend.connection))
        assert before <= set(vars(backend.connection))
