"""``LIMITER``: who counts, in the shape of one entry of Django's ``CACHES``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from notifyguard.conf import readers
from notifyguard.conf.problem import Place, UnusableError, as_mapping
from notifyguard.conf.table import read_table, setting

DATABASE_LIMITER = "notifyguard.limiters.database.DatabaseLimiter"


def _text(value: Any, place: Place) -> str:
    if isinstance(value, str):
        return value
    raise UnusableError('Write a string, such as "redis://localhost:6379/0".')


def _options(value: Any, place: Place) -> Mapping[str, Any]:
    options = as_mapping(value)
    if all(isinstance(name, str) for name in options):
        return options
    raise UnusableError("Write the names of its options as strings.")


@dataclass(frozen=True)
class LimiterSettings:
    """Which limiter counts, where it keeps its counts, and what else it is told."""

    spelled: ClassVar = str.upper
    later: ClassVar[Mapping[object, bool]] = {}

    backend: str = setting(DATABASE_LIMITER, readers.dotted_path)
    location: str = setting("", _text)
    options: Mapping[str, Any] = setting({}, _options)


def read_limiter(value: Any, place: Place) -> LimiterSettings:
    """Read the whole of ``LIMITER``; what cannot be used is reported and left out."""
    return LimiterSettings(**read_table(LimiterSettings, as_mapping(value), place))
