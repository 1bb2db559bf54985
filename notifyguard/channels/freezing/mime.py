"""MIME parts and parsed mails as raw bytes, and back as what this Django accepts.

As bytes they pass from one Django to another: 5.2 takes attachments as the
legacy ``MIMEBase``, 6 deprecates those and takes the modern ``MIMEPart``.
"""

from __future__ import annotations

from collections.abc import Mapping
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

# Header lines as they were written: whoever renders the message folds them.
_MODERN = policy.default.clone(max_line_length=None, refold_source="none")
_LEGACY = policy.compat32.clone(max_line_length=None)


@pack.register
def _pack_part(part: Message, blobs: Blobs) -> Any:
    try:
        name = put_apart(_raw(part), blobs)
    except (AttributeError, LookupError, MessageError, TypeError, ValueError) as error:
        raise Unfreezable(part, f"cannot be rendered as MIME ({error!r})") from error
    return tagged("modern mime" if isinstance(part, MIMEPart) else "mime", name)


@reads("modern mime")
def _read_modern(name: Any, blobs: Mapping[str, bytes]) -> EmailMessage:
    return message_from_bytes(fetch(name, blobs), EmailMessage, policy=policy.default)


@reads("mime")
def _read_legacy(name: Any, blobs: Mapping[str, bytes]) -> Message:
    return message_from_bytes(fetch(name, blobs), policy=policy.compat32)


def as_attachment(part: Message) -> Message:
    """Return a part of the class that this Django attaches without a warning."""
    if django.VERSION >= (6, 0):
        if isinstance(part, MIMEPart):
            return part
        return message_from_bytes(_raw(part), EmailMessage, policy=policy.default)
    if isinstance(part, MIMEPart):
        part = message_from_bytes(_raw(part), policy=policy.compat32)
    based = MIMEBase(part.get_content_maintype(), part.get_content_subtype())
    # All that the part is, in place of the headers that MIMEBase begins with.
    vars(based).update(vars(part))
    return based


def _raw(part: Message) -> bytes:
    """Return the part's bytes, without the ``>From`` that ``as_bytes`` would put in."""
    buffer = BytesIO()
    rules: Any = _MODERN if isinstance(part, MIMEPart) else _LEGACY
    # A copy: rendering writes boundaries and transfer encodings into the object.
    BytesGenerator(buffer, mangle_from_=False, policy=rules).flatten(deepcopy(part))
    return buffer.getvalue()
