"""What every transport does, and what is made of the word of each kind of backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

from notifyguard.channels.evidence import (
    Evidence,
    Verdict,
    proves_refusal,
    spoken,
    without_addresses,
)

NOT_TAKEN = {"invalid", "rejected", "failed"}  # anymail's words for a refused recipient


@dataclass(frozen=True)
class Receipt:
    """What came of one hand-over.

    ``returned`` is what the backend returned and ``error`` what it raised, for the
    caller to see; ``refused`` maps each bare address to the server's reply;
    ``detail`` is one short line without addresses; ``transient`` says that what failed
    may pass by itself.
    """

    returned: Any
    error: Exception | None
    verdict: Verdict
    refused: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""
    transient: bool = False


class Transport:
    """Hands over to a backend of which nothing is known: the cautious default.

    Use: ``prepare`` each message, ``open`` once, ``deliver`` each, and ``close`` in a
    ``finally``, all in one thread.
    """

    def __init__(self, backend: Any, inner: Callable[[Any], Any]) -> None:
        self._backend = backend
        self._inner = inner
        self.detail = ""  # why the last open() failed
        self.transient = False  # and whether that may pass by itself

    def prepare(self, message: Any) -> None:
        """Build and check all that can fail without a server.

        Raises:
            Exception: what the backend itself would raise: ``ValueError`` for an
                address or header that cannot be sent, and so on.
        """

    def message_id(self, message: Any) -> str:
        """Return the Message-ID of a prepared message, or ``""`` if it is not known yet."""
        headers = getattr(message, "extra_headers", None) or {}
        return next((str(headers[name]) for name in headers if name.lower() == "message-id"), "")

    def open(self) -> bool:
        """Get ready to hand over. Return False if the backend failed in silence.

        Raises:
            Exception: what the backend raises when it cannot connect or log in.
        """
        return True

    def deliver(self, message: Any) -> Receipt:
        """Hand one message over. Raises nothing: the receipt holds the error."""
        before = getattr(message, "anymail_status", None)
        returned, error = self._hand_over(message)
        status = getattr(message, "anymail_status", None)
        if status is before or not getattr(status, "status", None):
            return self._receipt(returned, error)
        return Receipt(returned, error, *_believed(status), spoken(error) if error else "")

    def close(self) -> None:
        """Close what ``open`` opened; what the caller had open stays open."""

    def _hand_over(self, message: Any) -> tuple[Any, Exception | None]:
        try:
            return self._inner([message]), None
        except Exception as error:  # any: the gate re-raises it after the confirm
            return None, error

    def _receipt(self, returned: Any, error: Exception | None) -> Receipt:
        verdict = self._judge(returned, error)
        if error is None:
            return Receipt(returned, error, verdict)
        evidence = Evidence()
        evidence.failed(error)
        said = without_addresses(evidence.said)
        return Receipt(returned, error, verdict, evidence.refused, said, evidence.transient)

    def _judge(self, returned: Any, error: Exception | None) -> Verdict:
        if error is not None:
            return Verdict.REFUSED if proves_refusal(error) else Verdict.UNKNOWN
        if isinstance(returned, int | Sized):
            return Verdict.ACCEPTED if returned else Verdict.UNKNOWN
        return Verdict.UNKNOWN if is_silent(self._backend) else Verdict.ACCEPTED


class LocalTransport(Transport):
    """For Django's backends that end in this process: their word is proof."""

    def _judge(self, returned: Any, error: Exception | None) -> Verdict:
        return Verdict.ACCEPTED if returned and error is None else Verdict.REFUSED


class ConnectedTransport(Transport):
    """For known backends: one connection, opened before the first mark."""

    _opened = False

    def open(self) -> bool:
        self._opened = bool(self._backend.open())
        return True

    def close(self) -> None:
        if self._opened:
            self._opened = False
            self._backend.close()

    def _judge(self, returned: Any, error: Exception | None) -> Verdict:
        cancelled = error is None and returned == 0 and not is_silent(self._backend)
        return Verdict.REFUSED if cancelled else super()._judge(returned, error)


def defined_in(backend: Any, name: str) -> str:
    """Return the module that a method's code stands in, under any wrapper of ours."""
    if name in getattr(backend, "__dict__", ()):
        return ""  # replaced on the instance: nobody's known code
    method: Any = getattr(type(backend), name, None)
    return getattr(inspect.unwrap(method), "__module__", "") if method else ""


def is_silent(backend: Any) -> bool:
    """Tell whether the backend was created with ``fail_silently``."""
    # vars(): on Django 6.1 a plain getattr may warn about the deprecated attribute.
    attributes = getattr(backend, "__dict__", {})
    return bool(attributes.get("fail_silently") or attributes.get("_fail_silently"))


def _believed(status: Any) -> tuple[Verdict, dict[str, str]]:
    """Return what an ``anymail_status`` says of the message and its recipients."""
    recipients = getattr(status, "recipients", None) or {}
    refused = {
        address: recipient.status
        for address, recipient in recipients.items()
        if recipient.status in NOT_TAKEN
    }
    verdict = Verdict.REFUSED if set(status.status) <= NOT_TAKEN else Verdict.ACCEPTED
    return verdict, refused
