"""How ``TYPES[…]["retries"]`` is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from notifyguard.conf.problem import Place, UnusableError, as_mapping, did_you_mean, quoted
from notifyguard.conf.readers import LONGEST_LEASE

MOST_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how soon, what failed for now is tried again.

    Attributes:
        attempts: further tries after the first.
        first: seconds before the first of them; doubled for each that follows.
        max: seconds that are never exceeded.
    """

    attempts: int = 5
    first: int = 60
    max: int = 3600


_NAMES = tuple(field.name for field in fields(Retries))
_HIGHEST = {"attempts": MOST_ATTEMPTS, "first": LONGEST_LEASE, "max": LONGEST_LEASE}


def retries(value: Any, place: Place) -> Retries | None:
    """Return the policy; ``None`` for one try and no more."""
    if value is None:
        return None
    written = _written(value)
    read = Retries(**{name: _number(name, number) for name, number in written.items()})
    if read.max < read.first:
        raise UnusableError(f'"max" is {read.max}, less than "first", {read.first}.')
    return read


def _written(value: Any) -> Mapping[Any, Any]:
    try:
        written = as_mapping(value)
    except UnusableError:
        example = '{"attempts": 5, "first": 60, "max": 3600}'
        raise UnusableError(f"Write {example}, or None for one try and no more.") from None
    for name in written:
        if name not in _NAMES:
            likely = did_you_mean(name, _NAMES)
            hint = f'Did you mean "{likely}"?' if likely else f"Known are {', '.join(_NAMES)}."
            raise UnusableError(f"{quoted(name)} is not known here. {hint}")
    return written


def _number(name: str, value: Any) -> int:
    if type(value) is int and 1 <= value <= _HIGHEST[name]:
        return value
    what = "a whole number" if name == "attempts" else "whole seconds"
    raise UnusableError(f'"{name}" is {quoted(value)}. Write {what} from 1 to {_HIGHEST[name]}.')
