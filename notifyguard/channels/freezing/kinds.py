"""Every kind of value a message may hold, with how it is kept and how it comes back.

A subclass of a scalar (SafeString, TextChoices) is kept as that scalar, since mail
is made of its characters. A subclass of a collection is refused: what it adds
would be lost in silence.
"""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from email.charset import Charset
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.mail.message import EmailAlternative, EmailAttachment
from django.utils.functional import Promise

from notifyguard.channels.freezing.values import (
    Blobs,
    Unfreezable,
    fetch,
    pack,
    pack_items,
    put_apart,
    reads,
    tagged,
    unpack,
)

# What PostgreSQL's jsonb refuses, even escaped: NUL, and surrogates without their other half.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Characters; a longer text lies apart, so that a row with its payload stays small.
_LONGEST_INLINE_TEXT = 64 * 1024
# Past this a JSON reader may round.
_EXACT_INTEGER = 2**53


def is_storable(text: str) -> bool:
    """Return whether every database keeps this text inside JSON."""
    return not _UNSTORABLE.search(text)


@pack.register(type(None))
@pack.register(bool)
def _pack_itself(value: Any, blobs: Blobs) -> Any:
    return value


@pack.register
def _pack_text(value: str, blobs: Blobs) -> Any:
    # Its characters; but a SimpleLazyObject only claims to be a string and has none.
    text = str.__str__(value if issubclass(type(value), str) else str(value))
    if len(text) <= _LONGEST_INLINE_TEXT and is_storable(text):
        return text
    return tagged("text", put_apart(text.encode("utf-8", "surrogatepass"), blobs))


@reads("text")
def _read_text(name: Any, blobs: Mapping[str, bytes]) -> str:
    return fetch(name, blobs).decode("utf-8", "surrogatepass")


@pack.register
def _pack_lazy(value: Promise, blobs: Blobs) -> Any:
    # Now, in the language that is active now: later it is another process's.
    return _pack_text(str(value), blobs)


@pack.register
def _pack_integer(value: int, blobs: Blobs) -> Any:
    number = int(value)
    return number if abs(number) <= _EXACT_INTEGER else tagged("int", hex(number))


@reads("int")
def _read_integer(digits: Any, blobs: Mapping[str, bytes]) -> int:
    return int(digits, 16)


@pack.register
def _pack_datetime(value: datetime, blobs: Blobs) -> Any:
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    return tagged("datetime", [value.isoformat(), zone])


@reads("datetime")
def _read_datetime(packed: Any, blobs: Mapping[str, bytes]) -> datetime:
    text, zone = packed
    moment = datetime.fromisoformat(text)
    if zone is None:
        return moment
    try:
        return moment.astimezone(ZoneInfo(zone))
    except ZoneInfoNotFoundError:
        # A machine with older zone data: the offset still says the same instant.
        return moment


@pack.register
def _pack_time(value: time, blobs: Blobs) -> Any:
    if isinstance(value.tzinfo, ZoneInfo):
        raise Unfreezable(value, "has a time zone but no date; use a datetime")
    return tagged("time", value.isoformat())


@pack.register
def _pack_timedelta(value: timedelta, blobs: Blobs) -> Any:
    return tagged("timedelta", [value.days, value.seconds, value.microseconds])


@reads("timedelta")
def _read_timedelta(packed: Any, blobs: Mapping[str, bytes]) -> timedelta:
    return timedelta(*packed)


@pack.register(list)
def _pack_list(value: list[Any], blobs: Blobs) -> Any:
    _require_builtin(value, list)
    return pack_items(value, blobs)


@pack.register(dict)
def _pack_dict(value: dict[Any, Any], blobs: Blobs) -> Any:
    # Pairs, not an object: keys need not be strings, and jsonb would lose their order.
    _require_builtin(value, dict, OrderedDict, defaultdict)
    return tagged("dict", [pack_items(pair, blobs) for pair in value.items()])


@reads("dict")
def _read_dict(pairs: Any, blobs: Mapping[str, bytes]) -> dict[Any, Any]:
    return dict(unpack(pairs, blobs))


@pack.register
def _pack_charset(value: Charset, blobs: Blobs) -> Any:
    return tagged("charset", _pack_dict(vars(value), blobs))


@reads("charset")
def _read_charset(packed: Any, blobs: Mapping[str, bytes]) -> Charset:
    charset = Charset()
    vars(charset).update(unpack(packed, blobs))
    return charset


def _require_builtin(value: Any, *builtins: type) -> None:
    if type(value) not in builtins:
        raise Unfreezable(value, f"is more than a {builtins[0].__name__}; pass a plain one")


def _scalar(
    kind: str, type_: type, write: Callable[[Any], str], read: Callable[[str], Any]
) -> None:
    """Keep values of this type as one text."""
    pack.register(type_)(lambda value, blobs: tagged(kind, write(value)))
    reads(kind)(lambda text, blobs: read(text))


def _content(type_: type, write: Callable[[Any], bytes]) -> None:
    """Keep values of this type as bytes, apart."""
    kind = type_.__name__
    pack.register(type_)(lambda value, blobs: tagged(kind, put_apart(write(value), blobs)))
    reads(kind)(lambda name, blobs: type_(fetch(name, blobs)))


def _collection(kind: str, type_: type, read: Callable[[list[Any]], Any]) -> None:
    """Keep values of exactly this type as a list of their items."""

    def write(value: Any, blobs: Blobs) -> Any:
        _require_builtin(value, type_)
        return tagged(kind, pack_items(value, blobs))

    pack.register(type_)(write)
    reads(kind)(lambda items, blobs: read(unpack(items, blobs)))


# As text, since jsonb turns -0.0 into 0 and 1e300 into an integer, and knows no NaN.
_scalar("float", float, float.__repr__, float)
_scalar("date", date, date.isoformat, date.fromisoformat)
_scalar("decimal", Decimal, str, Decimal)
_scalar("uuid", UUID, str, UUID)
reads("time")(lambda text, blobs: time.fromisoformat(text))

_content(bytes, bytes)
_content(bytearray, bytes)
_content(memoryview, memoryview.tobytes)

_collection("tuple", tuple, tuple)
_collection("set", set, set)
_collection("frozenset", frozenset, frozenset)
_collection("attachment", EmailAttachment, EmailAttachment._make)
_collection("alternative", EmailAlternative, EmailAlternative._make)
