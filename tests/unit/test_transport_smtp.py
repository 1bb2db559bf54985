"""A hand-over over SMTP: connected before the mark, built once, judged by what was said."""

from __future__ import annotations

import inspect
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from notifyguard.backends.smtp import EmailBackend
from notifyguard.channels.transport import Verdict, is_synchronous, transport_for
from tests.smtp import running_sink

BACKENDS = [smtp.EmailBackend, EmailBackend]


@pytest.fixture(scope="module")
def sink():
    with running_sink("--no-fsync") as sink:
        yield sink


@pytest.fixture(params=BACKENDS, ids=["django", "ours"])
def backend_class(request):
    return request.param


def create(cls, port, **options):
    # An alias keeps Django 6.1 from warning; earlier Djangos ignore it.
    options = {"alias": "default", "timeout": 10} | options
    return cls(host="127.0.0.1", port=port, **options)


def transport_of(backend):
    return transport_for(backend, inspect.unwrap(type(backend).send_messages).__get__(backend))


def letter(*to, **attributes) -> EmailMessage:
    return EmailMessage("Hello", "text", "from@example.com", list(to), **attributes)


def deliver(backend, *messages):
    """Walk a transport's steps as the gate does; return the receipts."""
    transport = transport_of(backend)
    for message in messages:
        transport.prepare(message)
    try:
        assert transport.open()
        return [transport.deliver(message) for message in messages]
    finally:
        transport.close()


def plainly(backend, message):
    """Return what a plain Django send returns, or the exception it raises."""
    try:
        return inspect.unwrap(type(backend).send_messages)(backend, [message])
    except Exception as error:
        return repr(error)


CASES = {
    "fine@example.com": (Verdict.ACCEPTED, "dot: 250 2.0.0 Accepted"),
    "refuse-550@example.com": (Verdict.REFUSED, "rcpt: 550 5.1.1 No such mailbox here"),
    "busy-451@example.com": (Verdict.REFUSED, "rcpt: 451 4.3.0 Mailbox busy, try again"),
    "data-554@example.com": (Verdict.REFUSED, "dot: 554 5.6.0 Content not welcome"),
    "drop-before@example.com": (Verdict.UNKNOWN, "dot: SMTPServerDisconnected"),
    "drop-after@example.com": (Verdict.UNKNOWN, "dot: SMTPServerDisconnected"),
    "hang@example.com": (Verdict.UNKNOWN, "dot: SMTPServerDisconnected"),
}


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("recipient", CASES)
def test_the_verdict_is_the_servers_and_the_caller_sees_what_django_shows(
    sink, backend_class, recipient, silent
):
    options = {"fail_silently": silent, "timeout": 0.3 if "hang" in recipient else 10}
    expected = plainly(create(smtp.EmailBackend, sink.port, **options), letter(recipient))
    before = len(sink.accepted())

    backend = create(backend_class, sink.port, **options)
    (receipt,) = deliver(backend, letter(recipient))

    assert (receipt.verdict, receipt.detail) == CASES[recipient]
    assert (repr(receipt.error) if receipt.error else receipt.returned) == expected
    if receipt.verdict is not Verdict.UNKNOWN:
        accepted = len(sink.accepted()) - before
        assert accepted == (receipt.verdict is Verdict.ACCEPTED)


def test_a_refused_sender_is_proven_negative(sink, backend_class):
    message = letter("to@example.com")
    message.from_email = "refuse-sender@example.com"
    (receipt,) = deliver(create(backend_class, sink.port), message)
    assert (receipt.verdict, receipt.detail) == (
        Verdict.REFUSED,
        "mail: 550 5.7.1 Sender not welcome",
    )


def test_refused_recipients_of_an_accepted_message_are_named_as_the_caller_wrote_them(
    sink, backend_class
):
    message = letter(
        "a@example.com",
        "Bob <refuse-550+bob@bücher.example>",
        cc=["busy-451@example.com"],
        bcc=["b@example.com"],
    )
    (receipt,) = deliver(create(backend_class, sink.port), message)
    assert (receipt.verdict, receipt.returned) == (Verdict.ACCEPTED, 1)
    assert receipt.refused == {
        "refuse-550+bob@bücher.example": "550 5.1.1 No such mailbox here",
        "busy-451@example.com": "451 4.3.0 Mailbox busy, try again",
    }
    assert sink.accepted()[-1]["to"] == ["a@example.com", "b@example.com"]


def test_the_detail_names_no_address():
    with scripted({"MAIL": "550 <from@example.com>: not today"}) as port:
        (receipt,) = deliver(create(smtp.EmailBackend, port), letter("to@example.com"))
    assert receipt.detail == "mail: 550 <address> not today"


class Counting(EmailMessage):
    """Counts how often its MIME is built."""

    built = 0

    def message(self, **options):
        self.built += 1
        return super().message(**options)


def test_the_message_is_built_once_and_before_connecting(sink, backend_class):
    message = Counting("Hello", "text", "from@example.com", ["once@example.com"])
    backend = create(backend_class, sink.port)
    transport = transport_of(backend)
    transport.prepare(message)
    assert (message.built, backend.connection) == (1, None)
    transport.open()
    transport.deliver(message)
    transport.close()
    assert message.built == 1
    assert sink.accepted()[-1]["to"] == ["once@example.com"]


def test_a_message_that_was_not_prepared_is_sent_all_the_same(sink, backend_class):
    transport = transport_of(create(backend_class, sink.port))
    transport.open()
    receipt = transport.deliver(letter("unprepared@example.com"))
    transport.close()
    assert receipt.verdict is Verdict.ACCEPTED
    assert sink.accepted()[-1]["to"] == ["unprepared@example.com"]


def test_the_same_object_twice_with_another_recipient_goes_to_both(sink, backend_class):
    transport = transport_of(create(backend_class, sink.port))
    message = letter("first@example.com")
    transport.open()
    for recipient in ("first@example.com", "second@example.com"):
        message.to = [recipient]
        transport.prepare(message)
        transport.deliver(message)
    transport.close()
    assert [line["to"] for line in sink.accepted()[-2:]] == [
        ["first@example.com"],
        ["second@example.com"],
    ]


def test_nothing_of_ours_stays_on_backend_connection_or_message(sink, backend_class):
    message, backend = letter("clean@example.com"), create(backend_class, sink.port)
    backend.open()
    backend.connection.ehlo()
    before = [set(vars(thing)) for thing in (message, backend, backend.connection)]
    deliver(backend, message)
    after = [set(vars(thing)) for thing in (message, backend, backend.connection)]
    backend.close()
    added = [now - then for now, then in zip(after, before, strict=True)]
    assert added == [set(), {"evidence"} if backend_class is EmailBackend else set(), set()]


BAD_MESSAGES: dict[str, dict[str, Any]] = {
    "header injection": {"subject": "a\nBcc: b@example.com"},
    "bad recipient": {"to": ["a@example.com\nb@example.com"]},
    "no address at all": {"to": ["to@@example.com"]},
    "bad sender": {"from_email": "a@b@c"},
}


@pytest.mark.parametrize("bad", BAD_MESSAGES)
def test_what_cannot_be_built_fails_before_connecting_and_as_django_fails(sink, backend_class, bad):
    message = letter("to@example.com")
    vars(message).update(BAD_MESSAGES[bad])
    expected = plainly(create(smtp.EmailBackend, sink.port), message)
    backend = create(backend_class, sink.port)
    with pytest.raises(ValueError, match=r"\S") as raised:
        transport_of(backend).prepare(message)
    assert repr(raised.value) == expected
    assert backend.connection is None


def test_open_says_ehlo_so_that_only_the_message_is_left_for_after_the_mark(sink, backend_class):
    backend = create(backend_class, sink.port)
    transport = transport_of(backend)
    assert transport.open()
    assert backend.connection.ehlo_resp is not None
    transport.close()
    assert backend.connection is None


def test_a_connection_that_the_caller_opened_stays_open(sink, backend_class):
    backend = create(backend_class, sink.port)
    backend.open()
    connection = backend.connection
    deliver(backend, letter("a@example.com"), letter("b@example.com"))
    assert backend.connection is connection
    assert connection.noop()[0] == 250
    backend.close()


def test_a_batch_goes_over_one_connection(sink, backend_class):
    deliver(create(backend_class, sink.port), *(letter(f"{n}@example.com") for n in range(3)))
    assert len({line["peer"] for line in sink.accepted()[-3:]}) == 1


def test_after_a_message_that_was_refused_the_next_one_still_goes(sink, backend_class):
    messages = [letter("data-554@example.com"), letter("next@example.com")]
    verdicts = [r.verdict for r in deliver(create(backend_class, sink.port), *messages)]
    assert verdicts == [Verdict.REFUSED, Verdict.ACCEPTED]


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_a_server_that_is_not_there(backend_class):
    port = closed_port()
    transport = transport_of(create(backend_class, port))
    with pytest.raises(ConnectionRefusedError):
        transport.open()
    assert transport.detail == "connect: ConnectionRefusedError"
    transport.close()

    backend = create(backend_class, port, fail_silently=True)
    assert not transport_of(backend).open()
    assert backend._lock.acquire(blocking=False)


def test_a_refused_login_is_a_failure_to_open(backend_class):
    with running_sink("--login", "me:secret", "--no-fsync") as sink:
        backend = create(backend_class, sink.port, username="me", password="guess")
        transport = transport_of(backend)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            transport.open()
        transport.close()
        backend.close()
        assert transport.detail.startswith("auth: 535 ")


@contextmanager
def scripted(replies: dict[str, str | None]) -> Iterator[int]:
    """A server on a socket, for what the sink is too well-behaved to say.

    ``replies`` maps a command (``connect`` and ``.`` too) to its reply; ``None`` cuts.
    """
    usual = {"connect": "220 hello", "EHLO": "250 hello", "DATA": "354 go on", "QUIT": "221 bye"}
    script = usual | replies

    def talk(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, client.makefile("rwb", buffering=0) as stream:
            command = "connect"
            while (answer := script.get(command, "250 ok")) is not None:
                stream.write(answer.encode() + b"\r\n")
                if command == "QUIT" or not (line := stream.readline()):
                    return
                if command == "DATA" and answer.startswith("354"):
                    while line not in (b".\r\n", b""):
                        line = stream.readline()
                command = line.split()[0].decode().upper() if line else "QUIT"

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join(timeout=10)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("replies", "verdict", "detail"),
    [
        ({"DATA": "451 later"}, Verdict.REFUSED, "data: 451 later"),
        ({"MAIL": None}, Verdict.REFUSED, "mail: SMTPServerDisconnected"),
        ({"RCPT": None}, Verdict.REFUSED, "rcpt: SMTPServerDisconnected"),
        ({"DATA": None}, Verdict.REFUSED, "data: SMTPServerDisconnected"),
        ({".": None}, Verdict.UNKNOWN, "dot: SMTPServerDisconnected"),
        ({".": "421 going down"}, Verdict.REFUSED, "dot: 421 going down"),
        ({".": "251 in a way"}, Verdict.UNKNOWN, "dot: 251 in a way"),
        ({".": "250 " + "x" * 9000}, Verdict.UNKNOWN, "dot: 500 Line too long."),
        ({".": "nonsense"}, Verdict.UNKNOWN, "dot: -1 ense"),
    ],
)
def test_what_each_reply_proves(backend_class, replies, verdict, detail):
    with scripted(replies) as port:
        (receipt,) = deliver(create(backend_class, port), letter("to@example.com"))
    assert (receipt.verdict, receipt.detail) == (verdict, detail)
    assert receipt.error is not None


@pytest.mark.parametrize("silent", [False, True])
def test_a_refused_greeting_is_a_failure_to_open(backend_class, silent):
    with scripted({"EHLO": "554 no", "HELO": "554 no"}) as port:
        backend = create(backend_class, port, fail_silently=silent)
        transport = transport_of(backend)
        if silent:
            assert not transport.open()
        else:
            with pytest.raises(smtplib.SMTPHeloError):
                transport.open()
        assert transport.detail == "helo: 554 no"
        assert backend.connection is None


class Signing(smtp.EmailBackend):
    """A project's own backend that adds a header at the last moment."""

    def _send(self, email_message):
        message = email_message.message()
        message["X-Signature"] = "signed"
        return not self.connection.sendmail(  # type: ignore[union-attr]
            email_message.from_email, email_message.to, message.as_bytes()
        )


def test_a_send_of_the_projects_own_is_not_second_guessed(sink):
    (receipt,) = deliver(create(Signing, sink.port), letter("signed@example.com"))
    assert receipt.verdict is Verdict.ACCEPTED
    assert sink.accepted()[-1]["x"] == {"X-Signature": "signed"}


class Redirecting(smtp.EmailBackend):
    """A project's own backend that changes messages on their way."""

    def send_messages(self, email_messages):
        for message in email_messages:
            message.to = ["redirected@example.com"]
        return super().send_messages(email_messages)


def test_a_backend_that_overrides_send_messages_is_handled_with_caution(sink):
    backend = create(Redirecting, sink.port)
    assert not is_synchronous(backend)
    (receipt,) = deliver(backend, letter("to@example.com"))
    assert receipt.verdict is Verdict.ACCEPTED
    assert sink.accepted()[-1]["to"] == ["redirected@example.com"]
    (receipt,) = deliver(create(Redirecting, closed_port()), letter("to@example.com"))
    assert receipt.verdict is Verdict.UNKNOWN


def test_threads_that_share_a_backend_do_not_close_it_under_one_another(sink, backend_class):
    backend = create(backend_class, sink.port)
    receipts, errors = [], []

    def work(name: str) -> None:
        try:
            for n in range(10):
                receipts.extend(deliver(backend, letter(f"{name}.{n}@threads.example")))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [receipt.verdict for receipt in receipts] == [Verdict.ACCEPTED] * 40
    arrived = {line["to"][0] for line in sink.accepted() if "threads.example" in line["to"][0]}
    assert len(arrived) >= 40
    assert backend.connection is None


def test_a_bad_reply_to_quit_comes_as_it_would_from_the_backend(sink, backend_class):
    transport = transport_of(create(backend_class, sink.port))
    transport.open()
    assert transport.deliver(letter("longquit@example.com")).verdict is Verdict.ACCEPTED
    if backend_class is EmailBackend:
        transport.close()
    else:
        with pytest.raises(smtplib.SMTPResponseException, match="too long"):
            transport.close()
