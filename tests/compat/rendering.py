"""Two ways to say that messages are the same: by the byte, and by what a mail reader sees."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage as ParsedMessage
from typing import Any

from django.core.mail import EmailMessage

_BOUNDARY = re.compile(rb"={10,}\d+==")


def wire(message: EmailMessage) -> bytes | str:
    """Return the bytes that go over the wire, boundaries aside, or how rendering fails."""
    try:
        raw: bytes = message.message().as_bytes()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _BOUNDARY.sub(b"boundary", raw)


def outline(message: EmailMessage) -> Any:
    """Return headers, contents and nesting, without boundaries and the folding of lines."""
    raw: bytes = message.message().as_bytes()
    return _outline(message_from_bytes(raw, ParsedMessage, policy=policy.default))


def _outline(part: Any) -> Any:
    headers = [
        (name.lower(), re.sub(r'; boundary="[^"]*"', "", " ".join(str(value).split())))
        for name, value in part.items()
    ]
    if part.is_multipart():
        return headers, [_outline(child) for child in part.get_payload()]
    return headers, part.get_payload(decode=True)
