"""The pass: the signed header of a message that was judged and goes through a queue.

A backend that hands messages to a thread, a table or a broker brings them back
to the gate later, in another place. Only headers survive all of these.
"""

from __future__ import annotations

import copy
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from notifyguard.notification import PASS_HEADER

_VERSION = "2"
_LINE = 60
"""Characters between two spaces: whoever folds the header finds a place to (RFC 5322, 2.1.1)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What the second stop must know of a message, for nobody can tell it there.

    Attributes:
        dispatch: under which it stands in the ledger.
        attempt: its highest one when it was handed on; a row that has a higher one
            has been at the second stop before.
        type: its notification type, which was found where it was sent.
    """

    dispatch: UUID
    attempt: int
    type: str


def with_pass(message: Any, given: Pass, salt: str) -> Any:
    """Return a copy of the message that carries its pass, in plain ASCII."""
    carrying = copy.copy(message)
    said = f"{_VERSION}:{given.dispatch.hex}:{given.attempt}:{quote(given.type, safe='')}"
    text = foldable(f"{said}:{_signature(said, salt)}")
    headers = dict(getattr(message, "extra_headers", None) or {})
    carrying.extra_headers = headers | {PASS_HEADER: text}
    return carrying


def read(message: Any, salt: str) -> Pass | None:
    """Return the pass of a message, or ``None`` if there is none that we signed."""
    said, _, signature = carried(message).rpartition(":")
    # Without a salt anybody could sign; in bytes, since a forged header may hold anything.
    expected = _signature(said, salt) if salt else ""
    if not expected or not hmac.compare_digest(_bytes(signature), _bytes(expected)):
        return None
    version, dispatch, attempt, type = said.split(":")
    return Pass(UUID(dispatch), int(attempt), unquote(type)) if version == _VERSION else None


def foldable(text: str) -> str:
    """Return a header's text with spaces in it, where it may be folded."""
    return " ".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))


def carried(message: Any) -> str:
    """Return the header's text as it was before ``foldable``, good or bad; "" for none."""
    headers = getattr(message, "extra_headers", None) or {}
    return "".join(str(headers.get(PASS_HEADER, "")).split())


def claims_pass(message: Any) -> bool:
    """Tell whether the message carries a pass at all, good or bad."""
    return PASS_HEADER in (getattr(message, "extra_headers", None) or {})


@contextmanager
def taken_off(messages: list[Any]) -> Iterator[None]:
    """Take passes off for as long as a backend works, so that none reaches the wire."""
    carrying = [message for message in messages if claims_pass(message)]
    before = [message.extra_headers for message in carrying]
    for message in carrying:
        message.extra_headers = {
            name: value for name, value in message.extra_headers.items() if name != PASS_HEADER
        }
    try:
        yield
    finally:
        for message, headers in zip(carrying, before, strict=True):
            headers.update(message.extra_headers)  # with what the backend wrote there
            message.extra_headers = headers


def attributes(message: Any) -> dict[str, Any]:
    """Return the attributes of a message as they are now, for ``give_back``."""
    found = dict(getattr(message, "__dict__", {}))
    if isinstance(headers := found.get("extra_headers"), Mapping):
        found["extra_headers"] = dict(headers)  # backends write into it
    return found


def give_back(carrying: Any, before: Mapping[str, Any], message: Any) -> None:
    """Copy what a backend wrote on the copy to the caller's object.

    Backends report through attributes (``anymail_status``, ``message_id``) and headers.
    What we made different ourselves, the recipients of a smaller copy, stays ours.

    Args:
        carrying: the copy that was handed over.
        before: its ``attributes`` before that.
        message: the caller's object.
    """
    theirs = vars(message)
    for name, value in vars(carrying).items():
        if name == "extra_headers":
            _give_headers_back(value or {}, before.get(name) or {}, message)
        elif before.get(name, _MISSING) is not value and (
            before.get(name, _MISSING) is theirs.get(name, _MISSING)
        ):
            setattr(message, name, value)


def _give_headers_back(written: Mapping[str, Any], before: Mapping[str, Any], message: Any) -> None:
    changed = {name: value for name, value in written.items() if before.get(name) != value}
    changed.pop(PASS_HEADER, None)
    if changed:
        message.extra_headers = {**(message.extra_headers or {}), **changed}


_MISSING = object()


def _signature(said: str, salt: str) -> str:
    return hmac.new(bytes.fromhex(salt), b"pass:" + _bytes(said), "sha256").hexdigest()[:32]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
