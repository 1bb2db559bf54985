"""The sink tells the truth about what it accepted, and breaks in the ways it is asked to."""

from __future__ import annotations

import signal
import smtplib
import subprocess
import sys
from email.message import EmailMessage
from email.mime.text import MIMEText

import pytest

from tests.smtp import PROJECT, Sink, running_sink


@pytest.fixture(scope="module")
def sink():
    with running_sink() as sink:
        yield sink


def client(sink: Sink, timeout: float = 10) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", sink.port, timeout=timeout)


def letter(subject="Hello", body="text", **headers) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.com>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def send(sink: Sink, *recipients: str, message=None, sender="from@example.com") -> None:
    with client(sink) as smtp:
        smtp.sendmail(sender, recipients, bytes(message or letter()))


def test_an_accepted_message_is_journalled_before_the_client_knows(sink):
    with client(sink) as smtp:
        smtp.sendmail("from@example.com", ["journal@example.com"], bytes(letter(X_Run="7")))
        line = sink.accepted()[-1]  # no wait: the 250 came after it
        host, port = smtp.sock.getsockname()  # type: ignore[union-attr]
    assert line["from"] == "from@example.com"
    assert line["to"] == ["journal@example.com"]
    assert (line["message_id"], line["subject"]) == ("<1@example.com>", "Hello")
    assert line["x"] == {"X-Run": "7"}
    assert line["begun"] <= line["at"]
    assert line["peer"] == f"{host}:{port}"
    assert not line["blank"]


def test_a_journal_line_is_on_disk_even_if_the_sink_is_killed_at_once():
    with running_sink() as sink, client(sink) as smtp:
        smtp.sendmail("from@example.com", ["to@example.com"], b"Subject: a\n\nb")
        sink.process.kill()
        sink.process.wait()
        assert len(sink.accepted()) == 1


def html_only(body: str) -> MIMEText:
    message = MIMEText(body, "html")
    message["Subject"] = "Hello"
    return message


@pytest.mark.parametrize(
    ("message", "blank"),
    [
        (letter(body="  \n\n "), True),
        (letter(body="x"), False),
        (html_only(" \n"), True),
        (html_only("<p>x</p>"), False),
        (b"Subject: no body at all\r\n", True),
        (b"Content-Transfer-Encoding: base64\r\n\r\nIAo=\r\n", True),
    ],
)
def test_blank_means_a_body_without_content(sink, message, blank):
    send(sink, "blank@example.com", message=message)
    assert sink.accepted()[-1]["blank"] is blank


def test_encoded_subjects_are_journalled_decoded(sink):
    send(sink, "subject@example.com", message=letter(subject="Grüße, " + "lang " * 30))
    assert sink.accepted()[-1]["subject"] == ("Grüße, " + "lang " * 30).strip()


def test_one_refused_recipient_of_three_leaves_the_others(sink):
    with client(sink) as smtp:
        refused = smtp.sendmail(
            "from@example.com",
            ["a@example.com", "refuse-550+9@example.com", "busy-451@example.com"],
            bytes(letter()),
        )
    assert {address: code for address, (code, _) in refused.items()} == {
        "refuse-550+9@example.com": 550,
        "busy-451@example.com": 451,
    }
    assert sink.accepted()[-1]["to"] == ["a@example.com"]
    assert sink.lines("refused")[-1]["phase"] == "rcpt"


def test_who_is_put_off_once_is_accepted_when_asked_for_again(sink):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(sink, "busy-once+1@example.com")
    send(sink, "busy-once+1@example.com")
    assert sink.accepted()[-1]["to"] == ["busy-once+1@example.com"]


def test_a_refused_sender_is_refused_at_mail(sink):
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(sink, "to@example.com", sender="refuse-sender@example.com")
    assert sink.lines("refused")[-1]["phase"] == "mail"


@pytest.mark.parametrize(
    ("fault", "error", "accepted", "event"),
    [
        ("data-554", smtplib.SMTPDataError, False, "refused"),
        ("drop-before", smtplib.SMTPServerDisconnected, False, "dropped"),
        ("drop-after", smtplib.SMTPServerDisconnected, True, "accepted"),
        ("hang", smtplib.SMTPServerDisconnected, False, "hung"),
        ("hang-after", smtplib.SMTPServerDisconnected, True, "accepted"),
    ],
)
def test_faults_at_the_dot(sink, fault, error, accepted, event):
    before = len(sink.accepted())
    smtp = client(sink, timeout=0.5)
    with pytest.raises(error):
        smtp.sendmail("from@example.com", [f"{fault}@example.com"], bytes(letter()))
    smtp.close()
    assert len(sink.accepted()) - before == accepted
    assert sink.lines()[-1]["event"] == event


def test_longquit_accepts_and_then_says_goodbye_for_too_long(sink):
    smtp = client(sink)
    smtp.sendmail("from@example.com", ["longquit@example.com"], bytes(letter()))
    with pytest.raises(smtplib.SMTPResponseException, match="too long"):
        smtp.quit()
    smtp.close()
    assert sink.accepted()[-1]["to"] == ["longquit@example.com"]


def test_with_login_nobody_sends_without_one():
    with running_sink("--login", "me:secret") as sink, client(sink) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.sendmail("from@example.com", ["to@example.com"], bytes(letter()))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("me", "guess")
        smtp.login("me", "secret")
        smtp.sendmail("from@example.com", ["to@example.com"], bytes(letter()))
        assert len(sink.accepted()) == 1


def test_it_ends_cleanly_on_sigterm(tmp_path):
    command = [sys.executable, "-m", "example_project.sink"]
    with subprocess.Popen(
        [*command, "--journal", str(tmp_path / "journal")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_waiting_for_more_than_comes_says_how_many_came(sink):
    with pytest.raises(TimeoutError, match="of 10000 accepted"):
        sink.wait_for(10_000, timeout=0.1)
