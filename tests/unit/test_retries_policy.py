"""Which failures pass by themselves, how long to wait, and how the policy is written."""

from __future__ import annotations

import smtplib
import socket
import ssl

import pytest

from notifyguard import conf
from notifyguard.channels.transience import is_transient
from notifyguard.conf import Retries
from notifyguard.ledger.retries import next_try


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimeoutError(),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        ssl.SSLEOFError(),
        smtplib.SMTPServerDisconnected(),
        smtplib.SMTPConnectError(421, b"too many connections"),
        smtplib.SMTPHeloError(450, b"later"),
        smtplib.SMTPAuthenticationError(454, b"temporary authentication failure"),
        smtplib.SMTPSenderRefused(451, b"later", "from@example.com"),
        smtplib.SMTPDataError(452, b"disk full"),
        smtplib.SMTPRecipientsRefused({"a@example.com": (450, b"greylisted")}),
    ],
    ids=repr,
)
def test_what_may_pass_by_itself(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a header with a line feed"),
        ssl.SSLCertVerificationError(),
        smtplib.SMTPConnectError(554, b"no service"),
        smtplib.SMTPAuthenticationError(535, b"wrong password"),
        smtplib.SMTPNotSupportedError("no STARTTLS"),
        smtplib.SMTPSenderRefused(550, b"no", "from@example.com"),
        smtplib.SMTPDataError(554, b"spam"),
        smtplib.SMTPResponseException(-1, b"Connection unexpectedly closed"),
        smtplib.SMTPRecipientsRefused({"a@example.com": (450, b""), "b@example.com": (550, b"")}),
    ],
    ids=repr,
)
def test_what_does_not(error):
    assert not is_transient(error)


def test_the_wait_doubles_up_to_the_longest_and_is_jittered():
    policy = Retries(attempts=50, first=60, max=1000)
    for retries, longest in enumerate((60, 120, 240, 480, 960, 1000, 1000)):
        waits = [next_try(policy, retries) for _ in range(200)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
    assert next_try(policy, 32_000) <= 1000


def read(written):
    settings = conf.read({"TYPES": {"ticket.*": {"retries": written}}})
    return settings, settings.for_type("ticket.modified").retries


def test_what_is_left_out_has_a_default():
    assert read({}) == (read({})[0], Retries(5, 60, 3600))
    settings, policy = read({"attempts": 2})
    assert (settings.problems, policy) == ((), Retries(2, 60, 3600))
    assert read(None)[1] is None


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        (5, 'Write {"attempts": 5, "first": 60, "max": 3600}, or None'),
        ({"attempt": 5}, 'Did you mean "attempts"?'),
        ({"often": 5}, "Known are attempts, first, max."),
        ({"attempts": 0}, '"attempts" is 0. Write a whole number from 1 to 50.'),
        ({"attempts": True}, '"attempts" is True.'),
        ({"first": 0.5}, '"first" is 0.5. Write whole seconds from 1 to 86400.'),
        ({"first": 600, "max": 60}, '"max" is 60, less than "first", 600.'),
    ],
)
def test_a_mistake_is_named_with_its_fix_and_holds_nothing(written, fix):
    settings, policy = read(written)
    (problem,) = settings.problems
    assert fix in str(problem)
    assert 'NOTIFYGUARD["TYPES"]["ticket.*"]["retries"]' in problem.text
    assert (problem.held, policy) == ("", None)
