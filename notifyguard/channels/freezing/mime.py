"""MIME parts as the bytes that go over the wire, and back as what this Django accepts.

Django 5.2 takes attachments as the legacy ``MIMEBase``; Django 6 deprecates those
and takes the modern ``MIMEPart``. A part is kept as raw bytes, so it can be frozen
under one and thawed under the other.
"""

from __future__ import annotations

from copy import deepcopy
from email import message_from_bytes, policy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import EmailMessage, Message, MIMEPart
from email.mime.base import MIMEBase
from io import BytesIO
from typing import Any

import django

from notifyguard.channels.freezing.values import (
    Blobs,
    Unfreezable,
    fetch,
    pack,
    put_apart,
    reads,
    tagged,
)


@pack.register
def _pack_part(part: Message, blobs: Blobs) -> Any:
    rules = policy.default if isinstance(part, MIMEPart) else policy.compat32
    try:
        raw = _rendered(part, rules)
        survives = _reads_back(raw, rules)
    except (MessageError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unfreezable(part, f"cannot be rendered as MIME ({error})") from error
    if not survives:
        raise Unfreezable(part, "is not well-formed MIME and would change; attach it as bytes")
    return tagged("mime", put_apart(raw, blobs))


@reads("mime")
def _read_part(name: Any, blobs: Blobs) -> Message:
    raw = fetch(name, blobs)
    if django.VERSION >= (6, 0):
        return message_from_bytes(raw, EmailMessage, policy=policy.default)
    parsed = message_from_bytes(raw, policy=policy.compat32)
    part = MIMEBase(parsed.get_content_maintype(), parsed.get_content_subtype())
    # Everything of it, also the headers that MIMEBase added by itself.
    vars(part).update(vars(parsed))
    return part


def _rendered(part: Message, rules: Any) -> bytes:
    """Return the part's bytes, without the ``>From`` that ``as_bytes`` would put in."""
    buffer = BytesIO()
    # A copy: rendering writes boundaries and transfer encodings into the object.
    BytesGenerator(buffer, mangle_from_=False, policy=rules).flatten(deepcopy(part))
    return buffer.getvalue()


def _reads_back(raw: bytes, rules: Any) -> bool:
    """Return whether parsing loses nothing but blank lines after an unclosed boundary."""
    again = _rendered(message_from_bytes(raw, policy=rules), rules)
    return raw == again or _lines(raw) == _lines(again)


def _lines(raw: bytes) -> list[bytes]:
    return [line for line in raw.splitlines() if line]
