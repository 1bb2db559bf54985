"""Globs over notification types: ``ticket.*`` stands for every type that begins with ``ticket.``.

There is one wildcard, ``*``: any run of characters, dots and none at all
included. Everything else stands for itself and case counts. ``?`` and ``[`` are
refused rather than taken literally: a switch that silently matches nothing
would let out what it was meant to stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Specificity = tuple[bool, int, int, str]


def matches(pattern: str, name: str) -> bool:
    """Whether the type ``name`` is one that ``pattern`` stands for.

    Linear in both, whatever the pattern: no regular expression is built from it.
    """
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == name
    last = middle.pop()
    # Looking for the end only behind the beginning keeps "ab*ba" off "aba".
    if not (name.startswith(first) and name.endswith(last, len(first))):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        position = name.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


@lru_cache(maxsize=1024)
def specificity(pattern: str) -> Specificity:
    """A sort key: the greater, the more specific.

    A pattern without wildcard beats all others; then the longer text before the
    first ``*``; then more literal characters in all. The pattern itself breaks
    the last tie, so that the answer never depends on the order of a dict.
    """
    literal = pattern.replace("*", "")
    return "*" not in pattern, len(pattern.partition("*")[0]), len(literal), pattern


def matching(patterns: Iterable[str], name: str) -> list[str]:
    """Those of ``patterns`` that stand for the type ``name``, the most specific first."""
    found = [pattern for pattern in patterns if matches(pattern, name)]
    return sorted(found, key=specificity, reverse=True)


def names_nothing(pattern: str) -> bool:
    """Whether ``pattern`` stands for every type, as ``*`` does.

    Such a pattern names no type, so critical types do not obey it.
    """
    return not pattern.strip("*")


def fault(pattern: object) -> str | None:
    """Why ``pattern`` cannot be used, as a sentence that says what to write; None if it can."""
    if not isinstance(pattern, str) or not pattern:
        return 'Write a type ("ticket.modified") or a glob ("ticket.*").'
    if not pattern.isprintable() or pattern != pattern.strip():
        return "Take out control characters and the spaces at either end."
    if "?" in pattern or "[" in pattern:
        return 'Use "*", which is the only wildcard.'
    return None
