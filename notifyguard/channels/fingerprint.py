"""The fingerprint of what a message says, whoever it goes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.message import Message
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.core.mail import EmailMessage

# The content of a mail whose text lies at the provider (anymail).
_TEMPLATE_ATTRIBUTES = ("template_id", "merge_global_data", "merge_data")
_Feed = Callable[[bytes], object]


def fingerprint(message: EmailMessage) -> UUID:
    """Return 128 bits that are equal for messages that say the same.

    Taken from subject, bodies, sender, attachments and, for mail that a provider
    renders, its template and data; not from recipients nor from rendered MIME,
    which differs each time. The same in every process and under every Django; a
    lazy string counts as what it says. Never raises because of what a message holds.
    """
    # Not BLAKE2: processors have instructions for SHA-256, which halves the time for a megabyte.
    digest = sha256()
    _feed_message(message, digest.update)
    # The form of a UUID: MariaDB refuses a quarter of all plain 128-bit values.
    return UUID(bytes=digest.digest()[:16], version=5)


def _feed_message(message: EmailMessage, feed: _Feed) -> None:
    attributes = getattr(message, "__dict__", {})  # a class with slots has none
    for name in ("subject", "body", "content_subtype", "from_email"):
        # What only looks like a message may lack any of them.
        _feed_one(getattr(message, name, None), feed)
    for name in ("alternatives", "attachments"):
        for item in attributes.get(name) or ():
            _feed_one(item, feed)
    for name in _TEMPLATE_ATTRIBUTES:
        if attributes.get(name):
            _feed_one(_data_text(attributes[name]), feed)


def _feed_one(part: Any, feed: _Feed) -> None:
    """Feed one part with its length before it, so that "ab", "c" is not "a", "bc"."""
    if isinstance(part, (tuple, list)):
        feed(b"%d[" % len(part))
        for item in part:
            _feed_one(item, feed)
    elif isinstance(part, Message):
        _feed_mime(part, feed)
    elif isinstance(part, EmailMessage):
        _feed_message(part, feed)
    else:
        content = _bytes(part)
        feed(b"%d:" % len(content))
        feed(content)


def _feed_mime(part: Message, feed: _Feed) -> None:
    for leaf in part.walk():
        _feed_one(leaf.get_content_type(), feed)
        _feed_one(leaf.get_filename(), feed)
        _feed_one(leaf.get_payload(decode=True), feed)


def _bytes(part: Any) -> bytes:
    if part is None:
        return b""
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    # Text and bytes of the same characters are the same: attach() decodes text/* itself.
    return str(part).encode("utf-8", "surrogatepass")


def _data_text(data: Any) -> str:
    try:
        return json.dumps(data, sort_keys=True, default=_plain)
    except (TypeError, ValueError, RecursionError):  # mixed keys, or it contains itself
        return repr(data)


def _plain(value: Any) -> Any:
    # A set has another order in each process.
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)
