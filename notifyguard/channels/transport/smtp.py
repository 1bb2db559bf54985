"""Handing over to Django's SMTP backend, or ours, and seeing what the server says."""

from __future__ import annotations

import contextlib
import copy
import re
import smtplib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from notifyguard.channels.evidence import (
    Evidence,
    KeepsEvidence,
    Phase,
    bare,
    opening_phase,
    spoken,
    watched,
)
from notifyguard.channels.transience import is_transient
from notifyguard.channels.transport.base import (
    ConnectedTransport,
    Receipt,
    defined_in,
    is_silent,
)

HEAD = 16_384
MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)

SMTP = {"django.core.mail.backends.smtp", "notifyguard.backends.smtp"}


class SMTPTransport(ConnectedTransport):
    """For Django's SMTP backend and ours.

    The backend's own lock is held from ``open`` to ``close``, as Django holds it
    while it sends, so that no thread that shares the backend closes our connection.
    """

    def __init__(self, backend: Any, inner: Callable[[Any], Any]) -> None:
        super().__init__(backend, inner)
        self._holds_lock = False
        self._built: dict[int, Built] = {}

    def prepare(self, message: Any) -> None:
        if defined_in(self._backend, "_send") in SMTP:
            self._built[id(message)] = Built.by(self._backend, message)
        else:
            message.message()  # a _send of the project's own might send: only look

    def message_id(self, message: Any) -> str:
        built = self._built.get(id(message))
        found = built and MESSAGE_ID.search(built.head)
        return found[1].decode("ascii", "replace") if found else super().message_id(message)

    def open(self) -> bool:
        self._backend._lock.acquire()
        self._holds_lock = True
        ready = False
        try:
            ready = self._connect() and self._greet()
        finally:
            if not ready:
                self.close()
        return ready

    def deliver(self, message: Any) -> Receipt:
        backend, built = self._backend, self._built.pop(id(message), None)
        with backend._lock, watched(backend.connection) as evidence, _reusing(backend, built):
            returned, error = self._hand_over(message)
        if isinstance(backend, KeepsEvidence):
            backend.evidence = evidence
        if not evidence.begun:
            return self._receipt(returned, error)
        refused = built.as_written(evidence.refused) if built else evidence.refused
        seen = (evidence.verdict, refused, evidence.detail, evidence.transient)
        return Receipt(returned, error, *seen)

    def close(self) -> None:
        """Close what ``open`` opened.

        Raises:
            smtplib.SMTPException: where Django raises it too, after a bad reply to
                QUIT; our own backend does not. The messages have left all the same.
        """
        try:
            super().close()
        finally:
            if self._holds_lock:
                self._holds_lock = False
                self._backend._lock.release()

    def _connect(self) -> bool:
        try:
            opened = self._backend.open()
        except Exception as error:
            self._failed(opening_phase(self._backend._partial_connection), error)
            raise
        self._opened = bool(opened)
        if opened is None or not self._backend.connection:
            self._failed(opening_phase(self._backend._partial_connection))
            return False
        return True

    def _greet(self) -> bool:
        """Say EHLO now: Django leaves it to the first message, after the mark."""
        connection = self._backend.connection
        if not isinstance(connection, smtplib.SMTP):
            return True
        try:
            connection.ehlo_or_helo_if_needed()
        except smtplib.SMTPException as error:
            self._failed(Phase.HELO, error)
            if not is_silent(self._backend):
                raise
            return False
        return True

    def _failed(self, phase: Phase, error: Exception | None = None) -> None:
        said = spoken(error) if error else "failed in silence"
        self.detail = Evidence(begun=True, phase=phase, said=said).detail
        # A silent backend does not say whether the password was wrong.
        self.transient = is_transient(error) if error else phase is not Phase.AUTH


@dataclass(frozen=True)
class Built:
    """What the backend is going to say to the server for one message."""

    message: Any  # kept so that its id() stays taken
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    @classmethod
    def by(cls, backend: Any, message: Any) -> Built:
        """Let the backend's own ``_send`` run against a connection that only listens.

        So addresses and MIME come out as this Django makes them, at the cost of once.
        """
        heard: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        stage = copy.copy(backend)
        stage.connection = Listener(heard)
        stage._send(message)
        return cls(message, *(heard[0] if heard else ((), {})))

    @property
    def head(self) -> bytes:
        """The first bytes of the message, where its headers are."""
        return bytes(self.arguments[2][:HEAD]) if len(self.arguments) > 2 else b""

    def as_written(self, refused: Mapping[str, str]) -> dict[str, str]:
        """Return refusals by address as the caller wrote it (IDNA undone)."""
        if not refused:
            return {}
        written = zip(self.arguments[1], self.message.recipients(), strict=True)
        names = {bare(wire): bare(address) for wire, address in written}
        return {names.get(address, address): said for address, said in refused.items()}


@dataclass(frozen=True)
class Listener:
    """A connection that takes note of ``sendmail`` and says nothing to anybody."""

    heard: list[tuple[tuple[Any, ...], dict[str, Any]]]

    def sendmail(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.heard.append((args, kwargs))
        return {}


@contextlib.contextmanager
def _reusing(backend: Any, built: Built | None) -> Iterator[None]:
    """Have the backend send what was built, not build it a second time."""
    if built is None or not built.arguments:
        yield
        return

    def send(_message: Any) -> bool:
        try:
            backend.connection.sendmail(*built.arguments, **built.keywords)
        except smtplib.SMTPException:
            if not backend.fail_silently:
                raise
            return False
        return True

    backend._send = send  # on the instance, whose lock we hold
    try:
        yield
    finally:
        del backend._send
