"""What an operator sees: sentences, tables, questions and progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.core.management.color import Style
from django.utils import timezone

BAR = 30
"""Width of a progress bar in characters."""


class Terminal:
    """Where a subcommand writes to.

    Args:
        out: for what was asked for.
        err: for warnings and progress, so that scripts read only ``out``.
        style: colours.
    """

    def __init__(self, out: OutputWrapper, err: OutputWrapper, style: Style) -> None:
        self.out = out
        self.err = err
        self.style = style

    def say(self, text: str = "") -> None:
        """Write a line."""
        self.out.write(text)

    def warn(self, text: str) -> None:
        """Write a line that must not be overlooked."""
        self.err.write(f"WARNING: {text}", self.style.WARNING)

    def heading(self, text: str) -> None:
        """Write a heading."""
        self.out.write(self.style.MIGRATE_HEADING(text))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table, its numbers to the right."""
        cells = [[_cell(value) for value in row] for row in rows]
        widths = [
            max(len(heading), *(len(row[at]) for row in cells))
            for at, heading in enumerate(headings)
        ]
        numeric = [all(_is_number(row[at]) for row in rows) for at in range(len(headings))]
        for line in (list(headings), *cells):
            padded = [
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, numeric, strict=True)
            ]
            self.out.write(f"  {'  '.join(padded)}".rstrip())

    def write_json(self, value: object) -> None:
        """Write a value for scripts."""
        self.out.write(json.dumps(value, default=_as_json, indent=2))

    def confirm(self, question: str, *, sure: bool) -> None:
        """Ask, unless the operator has said ``--yes``.

        Raises:
            CommandError: the answer was no, or nobody is there to answer.
        """
        if sure:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question}: nobody is there to answer. Add --yes.")
        self._write_in_place(f"{question}? [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """Show on a terminal how far a long deed is; call what is yielded with the number done."""

        def show(done: int) -> None:
            filled = BAR * min(done, total) // (total or 1)
            bar = f"{'#' * filled}{'.' * (BAR - filled)}"
            self.passing(f"[{bar}] {done:,}/{total:,} {what}")

        show(0)
        try:
            yield show
        finally:
            self.passing("")

    def passing(self, text: str) -> None:
        """Show on a terminal a line that the next one replaces."""
        if self.err.isatty():
            self._write_in_place(f"\r\x1b[K{text}")

    def _write_in_place(self, text: str) -> None:
        self.err.write(text, str, ending="")
        self.err.flush()


def number(count: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 delivery``, ``5,000 deliveries``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def deliveries(count: int, messages: int | None = None) -> str:
    """Return a number of deliveries in words, and of how many messages where that differs."""
    of = "" if messages in (None, count) else f" ({number(messages or 0, 'message')})"
    return f"{number(count, 'delivery', 'deliveries')}{of}"


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in its two largest units."""
    seconds = max(0, int((now - moment).total_seconds()))
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def moment(at: datetime | None) -> str:
    """Return a time as the operator's clock shows it."""
    if at is None:
        return ""
    return f"{timezone.localtime(at) if timezone.is_aware(at) else at:%Y-%m-%d %H:%M %Z}".rstrip()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return f"{value:,}" if _is_number(value) else str("" if value is None else value)


def _is_number(value: object) -> bool:
    return isinstance(value, int)


def _as_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
