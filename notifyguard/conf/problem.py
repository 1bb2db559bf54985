"""What is wrong with a setting, where it stands and what to do about it."""

from __future__ import annotations

import difflib
import logging
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ALL_MAIL = "all mail"

logger = logging.getLogger("notifyguard")


class Kind(StrEnum):
    """The kinds of problem; each has a system check of its own."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    NOT_IMPORTABLE = "not importable"
    NO_DATABASE = "no such database"


@dataclass(frozen=True)
class Problem:
    """One fault in the settings.

    ``text`` names setting and value, ``fix`` says what to write instead.
    ``held`` says what is held until then, "" if nothing has to be.
    """

    kind: Kind
    text: str
    fix: str
    held: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.fix}"


class UnusableError(ValueError):
    """A value cannot be used; the text says what to write instead."""


@dataclass(frozen=True)
class Place:
    """A place in the settings, and the list its problems are written to.

    ``scope`` is the mail that what stands here could have stopped: whatever
    cannot be read may have been a stop, and a stop may not be lost to a typing
    mistake.
    """

    path: str
    scope: str = ALL_MAIL
    problems: list[Problem] = field(default_factory=list)

    def at(self, name: object) -> Place:
        return Place(f"{self.path}[{quoted(name)}]", self.scope, self.problems)

    def report(self, kind: Kind, text: str, fix: str, *, stops: bool) -> None:
        held = self.scope if stops else ""
        consequence = f" Until then {held} is held." if stops else ""
        self.problems.append(Problem(kind, text, fix + consequence, held))

    def reject(self, value: object, fix: str, *, stops: bool) -> None:
        """Report that ``value`` cannot stand here."""
        text = f"{self.path} is {quoted(value)}, which cannot be used."
        self.report(Kind.INVALID, text, fix, stops=stops)


def quoted(value: object) -> str:
    """``value`` as one would write it in settings, cut short where it is long."""
    return f'"{value}"' if isinstance(value, str) and _plain(value) else reprlib.repr(value)


def _plain(text: str) -> bool:
    return len(text) <= 60 and text.isprintable() and not set(text) & {'"', "\\"}


def did_you_mean(written: object, known: Iterable[str]) -> str | None:
    """The name among ``known`` that ``written`` is most likely a slip for, if any."""
    if not isinstance(written, str):
        return None
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(written.lower()[:100], by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


_logged: set[Problem] = set()


def log_once(*problems: Problem) -> None:
    """Log at ERROR those of ``problems`` that this process has not logged yet."""
    for problem in problems:
        if problem not in _logged:
            # Noted first: the log line may come back to us as mail to ADMINS.
            _logged.add(problem)
            logger.error("%s", problem)


def as_mapping(value: object) -> Mapping[Any, Any]:
    """``value`` if it is a dict.

    Raises UnusableError for anything else.
    """
    if isinstance(value, dict):
        return value
    raise UnusableError("Write a dict.")
