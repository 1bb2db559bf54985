"""A whole message as data, and back: ``freeze`` and ``thaw``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, make_msgid
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.utils import DNS_NAME
from django.utils.timezone import get_current_timezone

from notifyguard.channels.freezing import kinds as kinds
from notifyguard.channels.freezing import mime as mime
from notifyguard.channels.freezing.classes import class_at, path_of
from notifyguard.channels.freezing.envelope import narrowed
from notifyguard.channels.freezing.legacy import fit_for_this_django
from notifyguard.channels.freezing.values import Blobs, Unfreezable, pack, reads, tagged, unpack
from notifyguard.exceptions import CannotFreeze, CannotThaw
from notifyguard.hold import Frozen
from notifyguard.notification import PASS_HEADER

VERSION = 1

# Where the message would go out, what became of it, that it was judged, and to whom of all
# its recipients a smaller copy goes: not what it says.
_NOT_CONTENT = frozenset({"connection", "_connection", "anymail_status", "recipients"})
# A class lists attributes of its own there that need not be kept.
_LEFT_OUT_BY_CLASS = "notifyguard_leave_out"
# The same for classes that are not ours to change: djoser's render before they are sent.
_LEFT_OUT_BY_OTHERS = {"templated_mail.mail:BaseEmailMessage": frozenset({"request", "context"})}
# Django 6.1 made a property of it.
_CONNECTION = "_connection" if hasattr(EmailMessage, "connection") else "connection"


def freeze(
    message: EmailMessage,
    *,
    recipients: Collection[str] | None = None,
    date: datetime | None = None,
) -> Frozen:
    """Return the message as data, without changing it.

    Kept are its class and all its attributes, with their types. Lazy strings are
    resolved in the active language. Text is kept character by character, also a
    lone surrogate, so that the message renders, or fails to, as it did before. A
    Message-ID and a Date are fixed where it has none: every later hand-over is
    the same message; ``payload["message_id"]`` says it. ``payload`` is JSON without
    NUL or lone surrogates, which databases refuse. Left out are the connection,
    ``anymail_status``, the pass, and what its class names in ``notifyguard_leave_out``.

    Args:
        message: an ``EmailMessage`` of any class.
        recipients: the addresses it shall still go to; the others leave To, Cc
            and Bcc. ``None`` keeps all.
        date: what its Date says where it has none, with a time zone; ``None`` for now.

    Raises:
        CannotFreeze: it holds something that cannot be kept, which is named.
    """
    blobs: dict[str, bytes] = {}
    state = _state(message, date)
    if recipients is not None:
        state |= narrowed(state, recipients)
    try:
        payload = _packed(type(message), state, blobs)
    except RecursionError:
        raise CannotFreeze("The message contains itself, or is nested too deeply.") from None
    return Frozen({"v": VERSION, "message_id": _message_id(state), **payload}, blobs)


def thaw(frozen: Frozen) -> EmailMessage:
    """Return the message that was frozen, ready for ``connection.send_messages``.

    No code of the payload runs, nor the class's ``__init__``. ``send()`` is not
    called either, so a class may override it with another signature.

    Raises:
        CannotThaw: the version, the class or a value is unknown here, or a part
            of it is missing.
    """
    if (version := frozen.payload.get("v")) != VERSION:
        raise CannotThaw(
            f"The stored message has the form {version!r}; this notifyguard reads {VERSION}. "
            "Release it with the version that froze it, or a newer one."
        )
    try:
        return _rebuilt(frozen.payload, frozen.blobs)
    except CannotThaw:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CannotThaw(f"The stored message is damaged: {error!r}") from error


def _state(message: EmailMessage, date: datetime | None = None) -> dict[str, Any]:
    """Return the attributes that are content, with the headers that Django adds when rendering."""
    left_out = _left_out(type(message))
    state = {name: value for name, value in vars(message).items() if name not in left_out}
    if isinstance(headers := state.get("extra_headers"), Mapping):
        state["extra_headers"] = _fixed_headers(headers, date)
    return state


def _left_out(cls: type[EmailMessage]) -> frozenset[str]:
    by_others = (
        _LEFT_OUT_BY_OTHERS.get(f"{base.__module__}:{base.__qualname__}", ())
        for base in cls.__mro__
    )
    return _NOT_CONTENT.union(getattr(cls, _LEFT_OUT_BY_CLASS, ()), *by_others)


def _fixed_headers(headers: Mapping[Any, Any], date: datetime | None) -> dict[Any, Any]:
    """Return the headers with a Date and a Message-ID, in the order Django would render them."""
    present = {str(name).lower() for name in headers}
    fixed: dict[Any, Any] = {}
    if "date" not in present:
        zone = get_current_timezone() if settings.EMAIL_USE_LOCALTIME else UTC
        moment = date.astimezone(zone) if date else datetime.now(zone)
        fixed["Date"] = format_datetime(moment)
    if "message-id" not in present:
        # str(): the cached name; left to itself make_msgid asks DNS.
        fixed["Message-ID"] = make_msgid(domain=str(DNS_NAME))
    return fixed | {name: value for name, value in headers.items() if name != PASS_HEADER}


def _message_id(state: Mapping[str, Any]) -> str:
    headers = state.get("extra_headers") or {}
    return next((str(v) for k, v in headers.items() if str(k).lower() == "message-id"), "")


def _packed(cls: type[EmailMessage], state: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    path = path_of(cls)
    if slots := [name for base in cls.__mro__ for name in base.__dict__.get("__slots__", ())]:
        raise CannotFreeze(f"{path} keeps {slots} in __slots__, which are not kept. Remove them.")
    packed = {
        name: _packed_attribute(path, name, value, blobs)
        for name, value in state.items()
        if not _is_unset(value)
    }
    return {"class": path, "state": packed}


def _packed_attribute(path: str, name: str, value: Any, blobs: Blobs) -> Any:
    if not kinds.is_storable(name):
        raise CannotFreeze(f"The attribute name {name!r} of a {path} cannot be stored.")
    try:
        return pack(value, blobs)
    except Unfreezable as error:
        raise CannotFreeze(
            f"The attribute {name!r} of a {path} holds a {error}. Keep plain data there (text, "
            f"numbers, dates, lists, dicts), or name {name!r} in the class's "
            f"{_LEFT_OUT_BY_CLASS} if the message can be sent without it."
        ) from error


def _is_unset(value: Any) -> bool:
    """Return whether this is anymail's way to say "not given"; None there means something."""
    return isinstance(value, type) and (value.__module__, value.__name__) == (
        "anymail.utils",
        "UNSET",
    )


def _rebuilt(packed: Mapping[str, Any], blobs: Mapping[str, bytes]) -> EmailMessage:
    message = object.__new__(class_at(packed["class"]))
    state = {name: unpack(value, blobs) for name, value in packed["state"].items()}
    vars(message).update(fit_for_this_django(state), **{_CONNECTION: None})
    return message


@pack.register
def _pack_nested(message: EmailMessage, blobs: Blobs) -> Any:
    """Keep a message that is attached to another one."""
    return tagged("message", _packed(type(message), _state(message), blobs))


@reads("message")
def _read_nested(packed: Any, blobs: Mapping[str, bytes]) -> EmailMessage:
    return _rebuilt(packed, blobs)
