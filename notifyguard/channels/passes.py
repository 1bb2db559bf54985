"""The pass: the signed header of a message that was judged and goes through a queue.

A backend that hands messages to a thread, a table or a broker brings them back
to the gate later, in another place. Only headers survive all of these.
"""

from __future__ import annotations

import copy
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from notifyguard.notification import PASS_HEADER

_VERSION = "1"


def with_pass(message: Any, dispatch: UUID, salt: str) -> Any:
    """Return a copy of the message that carries its pass."""
    carrying = copy.copy(message)
    headers = dict(getattr(message, "extra_headers", None) or {})
    headers[PASS_HEADER] = f"{_VERSION}.{dispatch.hex}.{_signature(dispatch.hex, salt)}"
    carrying.extra_headers = headers
    return carrying


def has_pass(message: Any, salt: str) -> bool:
    """Tell whether the message carries a pass that we signed."""
    headers = getattr(message, "extra_headers", None) or {}
    version, _, rest = str(headers.get(PASS_HEADER, "")).partition(".")
    dispatch, _, signature = rest.partition(".")
    return version == _VERSION and hmac.compare_digest(signature, _signature(dispatch, salt))


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
            message.extra_headers = headers


def give_back(carrying: Any, before: Mapping[str, Any], message: Any) -> None:
    """Copy what a backend wrote on the copy to the caller's object.

    Backends report through attributes (``anymail_status``, ``message_id``).

    Args:
        carrying: the copy that was handed over.
        before: its attributes before that; what is as it was stays off the caller's object.
        message: the caller's object.
    """
    for name, value in vars(carrying).items():
        if name == "extra_headers":
            written = {key: said for key, said in value.items() if key != PASS_HEADER}
            if written != (getattr(message, name, None) or {}):
                message.extra_headers = written
        elif before.get(name, _MISSING) is not value:
            setattr(message, name, value)


_MISSING = object()


def _signature(dispatch: str, salt: str) -> str:
    return hmac.new(bytes.fromhex(salt), b"pass:" + dispatch.encode(), "sha256").hexdigest()[:32]
