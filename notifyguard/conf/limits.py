"""How a limit is written, and what it means: at most so many within any window of that length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from notifyguard.conf.problem import Place, UnusableError, did_you_mean, quoted

UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
MOST = 1_000_000
LONGEST = 366 * UNITS["day"]
"""Seconds of the longest window: each message in it is remembered."""

LONGEST_MOMENT = 5.0

PER_RECIPIENT = "limits"
PER_TYPE = "type_limits"
_WRITTEN = re.compile(r"(\d{1,12})\s*/\s*(?:(\d{1,12})\s*)?([A-Za-z]+)")
_EXAMPLES = 'such as "5/hour", "20/day" or "10/15 minutes"'


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``number`` deliveries within any ``seconds``, wherever the window is laid.

    Attributes:
        number: of deliveries.
        seconds: the length of the window.
        written: as it stands in the settings.
        pattern: the pattern of ``TYPES`` that carries it; all its types count together.
    """

    number: int
    seconds: int
    written: str
    pattern: str = ""

    @property
    def moment(self) -> float:
        """Seconds that a delivery may be on its way once it was counted.

        It counts for so much longer than the window: another may reach the server at
        once, and there, too, no window holds more. What took longer is counted anew.
        """
        return min(self.seconds / 100, LONGEST_MOMENT)

    def __str__(self) -> str:
        return self.written


def read_limits(value: Any, place: Place) -> tuple[Limit, ...]:
    """Read a list of limits. One bad item spoils the list."""
    # A string is iterable too: "5/hour" would be read as six items.
    if not isinstance(value, (list, tuple)):
        raise UnusableError(f"Write a list of limits, {_EXAMPLES}.")
    return tuple(_read(index, item) for index, item in enumerate(value))


def limits_in(options: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Return all limits among the options of one pattern."""
    return (*options.get(PER_RECIPIENT, ()), *options.get(PER_TYPE, ()))


def owned(options: Mapping[str, Any], pattern: str) -> dict[str, Any]:
    """Return the options with the pattern that carries them written on their limits."""
    carried = {
        name: tuple(replace(limit, pattern=pattern) for limit in options[name])
        for name in (PER_RECIPIENT, PER_TYPE)
        if name in options
    }
    return {**options, **carried}


def _read(index: int, item: Any) -> Limit:
    try:
        return _limit(item)
    except UnusableError as error:
        raise UnusableError(f"Item {index} is {quoted(item)}. {error}") from None


def _limit(item: Any) -> Limit:
    found = _WRITTEN.fullmatch(item.strip()) if isinstance(item, str) else None
    if found is None:
        raise UnusableError(f"Write a number, a slash and a time, {_EXAMPLES}.")
    number, times, unit = int(found[1]), int(found[2] or 1), _unit(found[3])
    if not 1 <= number <= MOST:
        raise UnusableError(
            f"Write a number from 1 to {MOST:,}; to let nothing out, write "
            '"sending": "hold" instead.'
        )
    if not 1 <= times * unit <= LONGEST:
        raise UnusableError(f"Write a time from 1 second to {LONGEST // UNITS['day']} days.")
    return Limit(number, times * unit, item.strip())


def _unit(written: str) -> int:
    name = written.lower()
    found = UNITS.get(name) or UNITS.get(name.removesuffix("s"))
    if found is None:
        likely = did_you_mean(name, [*UNITS, *(f"{unit}s" for unit in UNITS)])
        hint = f'Did you mean "{likely}"? ' if likely else ""
        raise UnusableError(f"{hint}Times are {', '.join(UNITS)}, one or several.")
    return found
