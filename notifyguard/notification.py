"""What a message is about: its notification type and its idempotency key."""

from __future__ import annotations

import inspect
import reprlib
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any

PASS_HEADER = "X-Notifyguard-Pass"
"""The signed header of a judged message. It never reaches the wire."""

MAX_TYPE_LENGTH = 200
MAX_KEY_LENGTH = 1000

_TYPE_ATTRIBUTE = "_notifyguard_type"
_KEY_ATTRIBUTE = "_notifyguard_key"


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification type and, if the message must leave once, its key."""

    type: str
    key: str | None = None


def notification_of(type: str, key: object = None) -> Notification:
    """Return a checked ``Notification``.

    Args:
        type: the notification type, ``ticket.modified``; at most 200 characters.
        key: what makes this notification this one, for each recipient. A string,
            or a number or UUID that becomes one; ``None`` for no key.

    Raises:
        TypeError: type or key is of a kind that cannot be used.
        ValueError: type or key is empty, too long, or the type holds a glob or
            a control character.
    """
    return Notification(_checked_type(type), None if key is None else _checked_key(key))


def identify(message: Any, type: str, *, key: object = None) -> None:
    """Say on one message what ``notification()`` says for a block.

    Args:
        message: an ``EmailMessage`` that will be sent later.
        type: its notification type.
        key: its idempotency key, or ``None``.

    Raises:
        TypeError: ``message`` is no message; else as ``notification_of``.
        ValueError: as ``notification_of``.
    """
    checked = notification_of(type, key)
    # Not by its class: a message may be anything that has recipients.
    if inspect.isclass(message) or not callable(getattr(message, "recipients", None)):
        raise TypeError(
            f"identify() was given {reprlib.repr(message)}; it takes a message object first: "
            "identify(message, 'ticket.modified', key=...). For whatever is sent inside of a block "
            "there is notification('ticket.modified', key=...)."
        )
    # Plain strings only: locmem deep-copies messages and django-mailer pickles them.
    setattr(message, _TYPE_ATTRIBUTE, checked.type)
    setattr(message, _KEY_ATTRIBUTE, checked.key)


def identified(message: Any) -> Notification | None:
    """Return what ``identify()`` wrote on the message, if anything."""
    type = getattr(message, _TYPE_ATTRIBUTE, None)
    return None if type is None else Notification(type, getattr(message, _KEY_ATTRIBUTE, None))


def _checked_type(type: object) -> str:
    if not isinstance(type, str):
        raise TypeError(f"A notification type is a string such as 'ticket.modified', not {type!r}.")
    name = type.strip()
    if not name:
        raise ValueError("The notification type is empty; name it, e.g. 'ticket.modified'.")
    if len(name) > MAX_TYPE_LENGTH:
        raise ValueError(
            f"The notification type {name[:40]!r}… has {len(name)} characters; "
            f"at most {MAX_TYPE_LENGTH} fit."
        )
    if any(char in "*?[]" or unicodedata.category(char).startswith("C") for char in name):
        raise ValueError(
            f"The notification type {name!r} holds a glob or control character; "
            "patterns belong in switches and TYPES, a message has one plain type."
        )
    return name


def _checked_key(key: object) -> str:
    if isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"An idempotency key is text, not bytes: {key!r}. Decode it first.")
    if isinstance(key, bool) or not isinstance(key, (str, int, uuid.UUID)):
        # A model instance, a dict or a tuple would silently key on its repr.
        raise TypeError(
            f"An idempotency key is a string, a number or a UUID, not {key.__class__.__name__}: "
            "build one, e.g. key=f'ticket:{ticket.pk}:{ticket.version}'."
        )
    text = str(key)
    if not text:
        raise ValueError("The idempotency key is empty; every message would be the same one.")
    if len(text) > MAX_KEY_LENGTH:
        raise ValueError(
            f"The idempotency key has {len(text)} characters; at most {MAX_KEY_LENGTH} fit."
        )
    return text
