"""What an SMTP conversation proves about a message, which Django throws away.

Nothing of a message is in the server's hands before the bytes that follow the 354
reply to DATA, so a failure up to there proves that it was not accepted. After them
only the reply to the final dot tells: 250 accepted, 4xx or 5xx refused, and silence
or a lost connection nothing at all (RFC 1047; RFC 5321, section 4.2.5).
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parseaddr
from enum import StrEnum
from typing import Any

from notifyguard.channels.transience import is_temporary, is_transient

LONGEST_REPLY = 200  # characters kept of what a server says
ADDRESS = re.compile(r"\S+@\S+")


class Verdict(StrEnum):
    """What is known about a message after its hand-over."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # proven negative: it may be sent again
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """How far an SMTP conversation got."""

    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    QUIT = "quit"


PHASES = {
    "ehlo": Phase.HELO,
    "helo": Phase.HELO,
    "auth": Phase.AUTH,
    "mail": Phase.MAIL,
    "rcpt": Phase.RCPT,
    "data": Phase.DATA,
    "quit": Phase.QUIT,
}


@dataclass
class Evidence:
    """What was seen of one message on the wire.

    ``begun`` says that a hand-over was seen at all, ``phase`` how far it got,
    ``refused`` maps each refused address to the server's reply (``550 5.1.1 ...``),
    ``said`` is the last reply that decided something, or the name of the error.
    """

    begun: bool = False
    phase: Phase = Phase.MAIL
    refused: dict[str, str] = field(default_factory=dict)
    said: str = ""
    accepted: bool = False
    transient: bool = False  # what failed may pass by itself
    unanswered: int = 0  # final dots sent that got no clear reply

    @property
    def verdict(self) -> Verdict:
        if self.accepted:
            return Verdict.ACCEPTED
        return Verdict.UNKNOWN if self.unanswered else Verdict.REFUSED

    @property
    def detail(self) -> str:
        """Phase and reply, without any address: fit for logs."""
        return f"{self.phase}: {without_addresses(self.said)}"

    def dot_sent(self) -> None:
        self.phase = Phase.DOT
        self.unanswered += 1

    def dot_answered(self, code: int, text: bytes) -> None:
        self.said = reply(code, text)
        self.accepted = self.accepted or code == 250
        self.transient = is_temporary(code)
        if code == 250 or 400 <= code < 600:
            self.unanswered -= 1

    def failed(self, error: Exception) -> None:
        self.said = spoken(error)
        self.transient = is_transient(error)
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            self.refuse(error.recipients)

    def refuse(self, replies: Mapping[str, tuple[int, bytes]]) -> None:
        for address, (code, text) in replies.items():
            self.refused[bare(address)] = reply(code, text)


def bare(address: Any) -> str:
    """Return an address without the name beside it."""
    return parseaddr(str(address))[1] or str(address)


def without_addresses(text: str) -> str:
    """Return a server's words as they may stand in a log."""
    return ADDRESS.sub("<address>", text)


def reply(code: int, text: bytes | str) -> str:
    """Return a server's reply as one short line."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return " ".join(f"{code} {words}".split())[:LONGEST_REPLY]


def spoken(error: BaseException) -> str:
    """Return the reply that an exception carries, else the name of its class."""
    if isinstance(error, smtplib.SMTPRecipientsRefused) and error.recipients:
        return reply(*next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPResponseException):
        return reply(error.smtp_code, error.smtp_error)
    return type(error).__name__


def proves_refusal(error: BaseException) -> bool:
    """Tell whether an exception alone, from whatever backend, is a proven negative.

    ``SMTPResponseException`` itself is not: smtplib raises it, with a code of its
    own making, when a reply is too long to read.
    """
    if isinstance(error, smtplib.SMTPDataError):
        return 400 <= error.smtp_code < 600
    return isinstance(
        error,
        (
            smtplib.SMTPConnectError,
            smtplib.SMTPHeloError,
            smtplib.SMTPAuthenticationError,
            smtplib.SMTPNotSupportedError,
            smtplib.SMTPSenderRefused,
            smtplib.SMTPRecipientsRefused,
        ),
    )


def opening_phase(partial: smtplib.SMTP | None) -> Phase:
    """Return how far a connection got that could not be opened.

    Args:
        partial: what the backend keeps of it, ``None`` before the server's greeting.
    """
    if partial is None:
        return Phase.CONNECT
    greeted = partial.ehlo_resp is not None or partial.helo_resp is not None
    return Phase.AUTH if greeted else Phase.HELO


class KeepsEvidence:
    """Mixin of backends that keep what was seen of the last message."""

    evidence: Evidence | None = None


@contextmanager
def watched(connection: Any) -> Iterator[Evidence]:
    """Listen to an open smtplib connection; yield what is seen, as it is seen.

    Works on the instance, so that Django's own backend, with whatever connection
    class, needs no replacement. Anything but smtplib's is left alone.
    """
    evidence = Evidence()
    if not isinstance(connection, smtplib.SMTP):
        yield evidence
        return
    attributes = vars(connection)
    hooks = Watch(connection, evidence).hooks()
    before = {name: attributes[name] for name in hooks if name in attributes}
    attributes.update(hooks)
    try:
        yield evidence
    finally:
        for name in hooks:
            del attributes[name]
        attributes.update(before)


class Watch:
    """Stands in for four methods of one connection and writes down what passes."""

    def __init__(self, connection: smtplib.SMTP, evidence: Evidence) -> None:
        self._evidence = evidence
        self._answer_is_due = False
        self._sendmail = connection.sendmail
        self._putcmd = connection.putcmd
        self._send = connection.send
        self._getreply = connection.getreply

    def hooks(self) -> dict[str, Any]:
        names = ("sendmail", "putcmd", "send", "getreply")
        return {name: getattr(self, name) for name in names}

    def sendmail(self, *args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
        self._evidence.begun = True
        try:
            refused = self._sendmail(*args, **kwargs)
        except Exception as error:
            self._evidence.failed(error)
            raise
        self._evidence.refuse(refused)
        return refused

    def putcmd(self, cmd: str, args: str = "") -> None:
        self._evidence.phase = PHASES.get(cmd.lower(), self._evidence.phase)
        self._putcmd(cmd, args)

    def send(self, s: Any) -> None:
        # smtplib sends commands as str; the one bytes object is message and dot.
        if isinstance(s, bytes):
            self._evidence.dot_sent()
            self._answer_is_due = True
        self._send(s)

    def getreply(self) -> tuple[int, bytes]:
        code, text = self._getreply()
        if self._answer_is_due:  # once: the RSET after a refusal is answered 250 too
            self._answer_is_due = False
            self._evidence.dot_answered(code, text)
        return code, text
