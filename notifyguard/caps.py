"""How much is kept of each type: a runaway that is held must not fill the disk.

Counted from the index over what is kept, and not for every mail: a process counts
again when it has kept so much itself that others could have used up the rest, and
after a minute. So a cap may be exceeded by a thousandth for each process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db.models import Count, Sum

from notifyguard import database
from notifyguard.conf import TypeOptions
from notifyguard.models import FrozenMessage

RULE = "cap"
"""The rule on what is discarded since there is no room for it."""

STALE_AFTER = 60
"""Seconds after which others may have filled what is free."""

FULL_FOR = 5
"""Seconds for which what was full is taken to be full still."""

SHARE = 256
"""A process keeps so small a part of what is free before it counts again."""

GRAIN = 1_000
"""The smallest such part, as a part of the cap: near it not every mail shall count."""


@dataclass(slots=True)
class Kept:
    """What is kept of a type.

    Attributes:
        messages: how many, as counted.
        size: bytes of these.
        counted_at: when, by the clock of this process.
        more: messages that this process has kept since.
        more_size: bytes of these.
    """

    messages: int
    size: int
    counted_at: float
    more: int = 0
    more_size: int = 0


_known: dict[tuple[str, str], Kept] = {}


def exceeded(type: str, options: TypeOptions) -> str:
    """Return which cap of a type leaves no room for one more message, in words, or ``""``.

    Args:
        type: the notification type.
        options: what the settings say of it.
    """
    if options.max_held is None and options.max_held_bytes is None:
        return ""
    key = database.alias(), type
    known = _known.get(key)
    if known is None or _is_outdated(known, options):
        known = _known[key] = _count(type, options)
    return _exceeded(known, options)


def added(type: str, size: int) -> None:
    """Note that this process has kept one more message of a type.

    Args:
        type: the notification type.
        size: in bytes.
    """
    if known := _known.get((database.alias(), type)):
        known.more += 1
        known.more_size += size


def forget() -> None:
    """Forget what was counted; for tests."""
    _known.clear()


def _exceeded(known: Kept, options: TypeOptions) -> str:
    if options.max_held is not None and known.messages >= options.max_held:
        return f"{options.max_held:,} messages of its type are kept, all that max_held allows"
    if options.max_held_bytes is not None and known.size >= options.max_held_bytes:
        size = f"{options.max_held_bytes:,}"
        return f"{size} bytes of its type are kept, all that max_held_bytes allows"
    return ""


def _is_outdated(known: Kept, options: TypeOptions) -> bool:
    age = time.monotonic() - known.counted_at
    if _exceeded(known, options):
        return age > FULL_FOR
    return (
        age > STALE_AFTER
        or _is_used_up(known.more, known.messages, options.max_held)
        or _is_used_up(known.more_size, known.size, options.max_held_bytes)
    )


def _is_used_up(more: int, counted: int, cap: int | None) -> bool:
    return cap is not None and more >= max(1, (cap - counted) // SHARE, cap // GRAIN)


def _count(type: str, options: TypeOptions) -> Kept:
    """Count no further than the cap: what is beyond it changes nothing."""
    kept = FrozenMessage.objects.using(database.alias()).filter(type=type).order_by()
    sizes = kept.values("size")
    if options.max_held is not None:
        sizes = sizes[: options.max_held]
    at = time.monotonic()
    with database.short_transaction():
        counted = sizes.aggregate(Count("size"), Sum("size"))
    return Kept(counted["size__count"], counted["size__sum"] or 0, at)
