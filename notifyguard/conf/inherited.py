"""What this process inherited: the environment variable ``NOTIFYGUARD_SUPPRESS``.

It makes a whole process notify nobody, and every process that one starts: threads,
pools and grandchildren, which inherit no context variable. Read once, when
notifyguard is first imported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from notifyguard import patterns
from notifyguard.conf.problem import Place, Problem, UnusableError

VARIABLE = "NOTIFYGUARD_SUPPRESS"

logger = logging.getLogger("notifyguard")


class Inherited(NamedTuple):
    """One suppression: the notification types meant, and why."""

    pattern: str
    reason: str

    def __str__(self) -> str:
        return f"{self.pattern} ({self.reason})"


def read(text: str) -> tuple[Inherited, ...]:
    """Read the value of the variable: on each line a pattern, a space and a reason.

    Raises:
        UnusableError: a line is no pattern with a reason; the text says what to write.
    """
    return tuple(_read_line(line) for line in text.splitlines() if line.strip())


def extended(environment: Mapping[str, str], pattern: str, reason: str) -> dict[str, str]:
    """Return the environment of a child process that is suppressed as well.

    Args:
        environment: of this process; what it suppresses already stays suppressed.
        pattern: the notification types meant.
        reason: why.

    Raises:
        UnusableError: the variable cannot carry the pattern or the reason.
    """
    line = f"{pattern} {reason}"
    if read(line) != ((pattern, reason),):
        raise UnusableError("A pattern with a space or a reason of several lines is not passed on.")
    lines = [environment.get(VARIABLE, ""), line]
    return {**environment, VARIABLE: "\n".join(filter(None, lines))}


def suppressions() -> tuple[Inherited, ...]:
    """Return what this process was started with; nothing if it cannot be read."""
    return _at_start()[0]


def problems() -> tuple[Problem, ...]:
    """Return what is wrong with what this process was started with."""
    return _at_start()[1]


def say_so() -> None:
    """Log that this process notifies nobody: forgotten, it would silence a server."""
    for problem in problems():
        logger.error("notifyguard: %s", problem)
    if found := suppressions():
        logger.warning(
            "notifyguard: %s is set: this process and those it starts notify nobody of %s",
            VARIABLE,
            listed(found),
        )


def listed(found: Iterable[Inherited]) -> str:
    """Return suppressions in words."""
    return ", ".join(map(str, found))


@lru_cache(maxsize=1)
def _at_start() -> tuple[tuple[Inherited, ...], tuple[Problem, ...]]:
    text = os.environ.get(VARIABLE, "")
    try:
        return read(text), ()
    except UnusableError as error:
        # It may have been meant for anything, so everything is stopped; held and not
        # discarded, since what was not meant must not be lost to a typing mistake.
        place = Place(f"The environment variable {VARIABLE}", "all mail of this process")
        place.reject(text, str(error), stops=True)
        return (), tuple(place.problems)


def _read_line(line: str) -> Inherited:
    pattern, _, reason = line.strip().partition(" ")
    if fix := patterns.fault(pattern):
        raise UnusableError(f'"{pattern}" is not a pattern of types. {fix}')
    if not reason.strip():
        raise UnusableError('Write a pattern, a space and a reason: "ticket.* backfill".')
    return Inherited(pattern, reason.strip())
