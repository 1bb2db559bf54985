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
        ValueError: a line is no pattern with a reason; the text says what to write.
    """
    return tuple(_read_line(line) for line in text.splitlines() if line.strip())


def extended(environment: Mapping[str, str], pattern: str, reason: str) -> dict[str, str]:
    """Return the environment of a child process that is suppressed as well.

    Args:
        environment: of this process; what it suppresses already stays suppressed.
        pattern: the notification types meant.
        reason: why.

    Raises:
        ValueError: the variable cannot carry the pattern or the reason.
    """
    line = f"{pattern} {reason}"
    if read(line) != ((pattern, reason),):
        raise ValueError("A pattern with a space or a reason of several lines is not passed on.")
    lines = [environment.get(VARIABLE, ""), line]
    return {**environment, VARIABLE: "\n".join(filter(None, lines))}


def suppressions() -> tuple[Inherited, ...]:
    """Return what this process was started with; nothing if it cannot be read."""
    return _at_start()[0]


def fault() -> str:
    """Return why what this process was started with cannot be read; empty if it can."""
    return _at_start()[1]


def say_so() -> None:
    """Log that this process notifies nobody: forgotten, it would silence a server."""
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
def _at_start() -> tuple[tuple[Inherited, ...], str]:
    try:
        return read(os.environ.get(VARIABLE, "")), ""
    except ValueError as error:
        return (), str(error)


def _read_line(line: str) -> Inherited:
    pattern, _, reason = line.strip().partition(" ")
    if fix := patterns.fault(pattern):
        raise ValueError(f'"{pattern}" is not a pattern of types. {fix}')
    if not reason.strip():
        raise ValueError('Write a pattern, a space and a reason: "ticket.* backfill".')
    return Inherited(pattern, reason.strip())
