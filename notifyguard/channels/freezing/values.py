"""Values as JSON and back, each with its type: the two entrances, ``pack`` and ``unpack``.

``None``, booleans, strings, lists and small integers stand for themselves.
Everything else is ``{"$": kind, "v": ...}``; the kinds are in ``kinds``. Bytes
and long texts lie apart, in ``blobs``, and are named by their SHA-256. There is
no pickle and no way for a payload to name code: an unknown kind is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import singledispatch
from typing import Any

from notifyguard.exceptions import CannotThaw

Blobs = MutableMapping[str, bytes]
Reader = Callable[[Any, Mapping[str, bytes]], Any]

_readers: dict[str, Reader] = {}


class Unfreezable(TypeError):
    """A value that cannot be kept; ``freeze`` adds where on the message it stood."""

    def __init__(self, value: object, why: str = "cannot be kept") -> None:
        super().__init__(f"{type(value).__module__}.{type(value).__qualname__}, which {why}")


@singledispatch
def pack(value: Any, blobs: Blobs) -> Any:
    """Return value as JSON, with its bytes put into blobs.

    Raises:
        Unfreezable: its type cannot be kept.
    """
    raise Unfreezable(value)


def pack_items(values: Iterable[Any], blobs: Blobs) -> list[Any]:
    """Return each value as JSON, in order."""
    return [pack(value, blobs) for value in values]


def unpack(packed: Any, blobs: Mapping[str, bytes]) -> Any:
    """Return the value that ``pack`` made into this.

    Raises:
        CannotThaw: its kind is unknown here, or its content is missing.
    """
    if isinstance(packed, list):
        return [unpack(item, blobs) for item in packed]
    if not isinstance(packed, dict):
        return packed
    reader = _readers.get(packed["$"])
    if reader is None:
        raise CannotThaw(
            f"The stored message holds a value of the unknown kind {packed['$']!r}: "
            "it was frozen by a newer notifyguard. Upgrade, then release it."
        )
    return reader(packed["v"], blobs)


def reads(kind: str) -> Callable[[Reader], Reader]:
    """Register the function that reads values of this kind back."""

    def register(reader: Reader) -> Reader:
        _readers[kind] = reader
        return reader

    return register


def tagged(kind: str, value: object) -> dict[str, object]:
    """Return the JSON form of a value whose type JSON does not have."""
    return {"$": kind, "v": value}


def put_apart(content: bytes, blobs: Blobs) -> str:
    """Put content into blobs and return its name, the SHA-256 as hexadecimal digits."""
    name = hashlib.sha256(content).hexdigest()
    blobs[name] = content
    return name


def fetch(name: str, blobs: Mapping[str, bytes]) -> bytes:
    """Return the content that ``put_apart`` named so.

    Raises:
        CannotThaw: it is no longer there.
    """
    try:
        return bytes(blobs[name])  # a driver may hand out a memoryview
    except KeyError:
        raise CannotThaw(
            f"The content {name} of this message is missing: it was pruned, or was never "
            "stored. The message cannot be sent any more; discard it."
        ) from None
