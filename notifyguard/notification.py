"""What a message is about: its notification type, its key, when it leaves, how old it may get."""

from __future__ import annotations

import inspect
import reprlib
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

PASS_HEADER = "X-Notifyguard-Pass"
"""The signed header of a judged message. It never reaches the wire."""

MAX_TYPE_LENGTH = 200
MAX_KEY_LENGTH = 1000
LONGEST_AGE = timedelta(days=36_500)
"""The greatest ``max_age``: what every database can store, and a century."""

_TYPE_ATTRIBUTE = "_notifyguard_type"
_KEY_ATTRIBUTE = "_notifyguard_key"
_MAX_AGE_ATTRIBUTE = "_notifyguard_max_age"
_SEND_AT_ATTRIBUTE = "_notifyguard_send_at"
_SUPERSEDES_ATTRIBUTE = "_notifyguard_supersedes"


@dataclass(frozen=True, slots=True)
class Notification:
    """What is known of a message before it is judged.

    Attributes:
        type: its notification type.
        key: what makes it this one, if it must leave once.
        max_age: how long after it was due it may still leave; ``None`` for what
            its type says.
        due_at: when it was meant to leave, as the ledger stores times; ``None``
            for when it was sent.
        send_at: when it is to leave, in UTC; ``None`` for at once.
        supersedes: what makes it one of those of which only the last is of use.
    """

    type: str
    key: str | None = None
    max_age: timedelta | None = None
    due_at: datetime | None = None
    send_at: datetime | None = None
    supersedes: str | None = None


def notification_of(
    type: str,
    key: object = None,
    max_age: timedelta | None = None,
    send_at: datetime | None = None,
    supersedes: object = None,
) -> Notification:
    """Return a checked ``Notification``.

    Args:
        type: the notification type, ``ticket.modified``; at most 200 characters.
        key: what makes this notification this one, for each recipient. A string,
            or a number or UUID that becomes one; ``None`` for no key.
        max_age: how long after it was due it may still leave.
        send_at: when it is to leave, with its time zone; ``None`` for at once.
        supersedes: of those that wait with the same text, for each recipient, only the
            last is released. A string, a number or a UUID, as the key.

    Raises:
        TypeError: an argument is of a kind that cannot be used.
        ValueError: type, key or ``supersedes`` is empty, too long, or the type holds a glob or
            a control character; ``max_age`` is not more than 0 or over a century;
            ``send_at`` has no time zone or is over a century away.
    """
    return Notification(
        _checked_type(type),
        None if key is None else _checked_key(key),
        None if max_age is None else _checked_age(max_age),
        send_at=None if send_at is None else _checked_time(send_at),
        supersedes=None if supersedes is None else _checked_key(supersedes, "supersedes"),
    )


def identify(
    message: Any,
    type: str,
    *,
    key: object = None,
    max_age: timedelta | None = None,
    send_at: datetime | None = None,
    supersedes: object = None,
) -> None:
    """Say on one message what ``notification()`` says for a block.

    Args:
        message: an ``EmailMessage`` that will be sent later.
        type: its notification type.
        key: its idempotency key, or ``None``.
        max_age: how long after it was due it may still leave; ``None`` for what
            its type says.
        send_at: when it is to leave, with its time zone; ``None`` for at once.
        supersedes: of those that wait with the same text only the last is released.

    Raises:
        TypeError: ``message`` is no message; else as ``notification_of``.
        ValueError: as ``notification_of``.
    """
    checked = notification_of(type, key, max_age, send_at, supersedes)
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
    seconds = None if checked.max_age is None else str(checked.max_age.total_seconds())
    setattr(message, _MAX_AGE_ATTRIBUTE, seconds)
    moment = None if checked.send_at is None else checked.send_at.isoformat()
    setattr(message, _SEND_AT_ATTRIBUTE, moment)
    setattr(message, _SUPERSEDES_ATTRIBUTE, checked.supersedes)


def identified(message: Any) -> Notification | None:
    """Return what ``identify()`` wrote on the message, if anything."""
    type = getattr(message, _TYPE_ATTRIBUTE, None)
    if type is None:
        return None
    seconds = getattr(message, _MAX_AGE_ATTRIBUTE, None)
    max_age = None if seconds is None else timedelta(seconds=float(seconds))
    moment = getattr(message, _SEND_AT_ATTRIBUTE, None)
    send_at = None if moment is None else datetime.fromisoformat(moment)
    return Notification(
        type,
        getattr(message, _KEY_ATTRIBUTE, None),
        max_age,
        send_at=send_at,
        supersedes=getattr(message, _SUPERSEDES_ATTRIBUTE, None),
    )


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


def _checked_key(key: object, argument: str = "key") -> str:
    name = {"key": "idempotency key"}.get(argument, argument)
    if isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"The {name} is text, not bytes: {key!r}. Decode it first.")
    if isinstance(key, bool) or not isinstance(key, (str, int, uuid.UUID)):
        # A model instance, a dict or a tuple would silently key on its repr.
        raise TypeError(
            f"The {name} is a string, a number or a UUID, not {key.__class__.__name__}: "
            f"build one, e.g. {argument}=f'{_EXAMPLES[argument]}'."
        )
    text = str(key)
    if not text:
        raise ValueError(f"The {name} is empty; every message would be the same one.")
    if len(text) > MAX_KEY_LENGTH:
        raise ValueError(f"The {name} has {len(text)} characters; at most {MAX_KEY_LENGTH} fit.")
    return text


_EXAMPLES = {"key": "ticket:{ticket.pk}:{ticket.version}", "supersedes": "ticket:{ticket.pk}"}


def _checked_age(age: object) -> timedelta:
    if not isinstance(age, timedelta):
        raise TypeError(f"max_age is a timedelta such as timedelta(hours=2), not {age!r}.")
    if not timedelta(0) < age <= LONGEST_AGE:
        raise ValueError(
            f"max_age is {age}; write more than 0 and at most {LONGEST_AGE.days} days."
        )
    return age


def _checked_time(at: object) -> datetime:
    """Return the instant that is meant, in UTC.

    A wall clock time that a change of the clocks skips is as much later; of one that
    comes twice ``fold`` says which (PEP 495).
    """
    if not isinstance(at, datetime):
        raise TypeError(f"send_at is a datetime with a time zone, not {at!r}.")
    if at.utcoffset() is None:
        # Whose nine o'clock? The server's time zone is the wrong guess as often as not.
        raise ValueError(
            f"send_at is {at}, which names no time zone. Say which one is meant, e.g. "
            "django.utils.timezone.make_aware(send_at), or "
            'send_at.replace(tzinfo=ZoneInfo("Europe/Berlin")).'
        )
    try:
        instant = at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"send_at is {at}, which is no time in UTC.") from None
    if abs(instant - datetime.now(UTC)) > LONGEST_AGE:
        raise ValueError(f"send_at is {at}, more than {LONGEST_AGE.days} days away.")
    return instant
