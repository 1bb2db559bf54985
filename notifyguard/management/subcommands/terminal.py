"""What an operator sees: sentences, tables, questions and progress."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.core.management.color import Style

from notifyguard.ledger.looks.story import moment
from notifyguard.management.subcommands.stopping import INTERRUPTED

BAR = 30
"""Width of a progress bar in characters."""

NARROWEST = 24
"""Characters that the last column of a table needs, to be wrapped and still be read."""

MISUSED = 2
"""Exit status of what was typed wrong."""


class Terminal:
    """Where a subcommand writes to.

    Args:
        out: for what was asked for.
        err: for warnings and progress, so that scripts read only ``out``.
        style: colours.

    Attributes:
        heard: somebody still reads what is written; ``| head`` stops reading.
    """

    def __init__(self, out: OutputWrapper, err: OutputWrapper, style: Style) -> None:
        self.out = out
        self.err = err
        self.style = style
        self.heard = True

    def say(self, text: str = "") -> None:
        """Write a line."""
        self._write(self.out, text)

    def say_indented(self, text: str, indent: int = 2) -> None:
        """Write a paragraph that begins further right, wrapped on a terminal."""
        for line in _wrapped(text, self._columns() - indent):
            self.say(f"{' ' * indent}{line}")

    def warn(self, text: str) -> None:
        """Write a line that must not be overlooked."""
        self._write(self.err, f"WARNING: {text}", self.style.WARNING)

    def heading(self, text: str) -> None:
        """Write a heading."""
        self._write(self.out, text, self.style.MIGRATE_HEADING)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table, its numbers to the right.

        On a terminal that is too narrow the last column is wrapped, or each row becomes
        a paragraph: a line broken anywhere can be neither read nor copied.
        """
        cells = [[_cell(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
        spare = self._columns() - sum(widths) - 2 * len(widths)
        if spare < 0 and widths[-1] + spare < min(NARROWEST, widths[-1]):
            self._paragraphs(headings, cells)
            return
        widths[-1] += min(spare, 0)
        numeric = [all(_is_number(row[at]) for row in rows) for at in range(len(headings))]
        for line in (headings, *cells):
            self._row(line, widths, numeric)

    def write_json(self, value: object) -> None:
        """Write a value for scripts."""
        self.say(json.dumps(value, default=_as_json, indent=2))

    def write_json_rows(self, rows: Iterable[object]) -> None:
        """Write a list for scripts as it comes, a row a line, so that it may be long."""
        start = "["
        for row in rows:
            self.say(f"{start}{json.dumps(row, default=_as_json)}")
            start = ","
            if not self.heard:
                return
        self.say("]" if start == "," else "[]")

    def confirm(self, question: str, *, sure: bool) -> None:
        """Ask, unless the operator has said ``--yes``.

        Raises:
            CommandError: the answer was no, or nobody is there to answer.
        """
        if sure:
            return
        if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
            text = f"{question}: nobody is there to answer. Add --yes."
            raise CommandError(text, returncode=MISUSED)
        self._write(self.err, f"{question}? [y/N] ", ending="")
        self.err.flush()
        try:
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            self._write(self.err, "")
            raise CommandError("Nothing was changed.", returncode=INTERRUPTED) from None
        if not answer:  # Ctrl-D ends the input, but not the line
            self._write(self.err, "")
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")

    def ask_number(self, question: str) -> int:
        """Ask for a number; what is none counts as 0."""
        if not sys.stdin.isatty():
            raise CommandError(f"{question}: nobody is there to answer. Add --count.")
        self.err.write(f"{question}: ", str, ending="")
        self.err.flush()
        answer = sys.stdin.readline().strip().replace(",", "")
        return int(answer) if answer.isdecimal() else 0

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
        if self.err.isatty() and os.environ.get("TERM") != "dumb":
            self.err.write(f"\r\x1b[K{text}", str, ending="")
            self.err.flush()

    def flush(self) -> None:
        """Write out what is still in a buffer, while it can be told whether somebody reads it."""
        try:
            self.out.flush()
        except BrokenPipeError:
            self._fall_silent(self.out)

    def _write(
        self,
        stream: OutputWrapper,
        text: str,
        style: Callable[[str], str] = str,
        ending: str = "\n",
    ) -> None:
        # Colours are decided by the one of the two streams that may not be this one.
        styled = style if stream.isatty() else str
        try:
            stream.write(_writable(text, stream), styled, ending=ending)
        except BrokenPipeError:
            self._fall_silent(stream)

    def _fall_silent(self, stream: OutputWrapper) -> None:
        """Write to nowhere from now on: a deed goes on to its end, whoever stopped reading."""
        self.heard = False
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

    def _columns(self) -> int:
        """Return how wide a table may be. What goes to a file or program is not wrapped."""
        return shutil.get_terminal_size().columns if self.out.isatty() else sys.maxsize

    def _row(self, cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> None:
        *firsts, last = zip(cells, widths, numeric, strict=True)
        start = "".join(
            f"  {text.rjust(width) if right else text.ljust(width)}"
            for text, width, right in firsts
        )
        text, width, right = last
        lines = _wrapped(text, width) or [""]
        self.say(f"{start}  {lines[0].rjust(width) if right else lines[0]}".rstrip())
        for line in lines[1:]:
            self.say(f"{' ' * len(start)}  {line}")

    def _paragraphs(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for first, *others in rows:
            named = zip(headings[1:], others, strict=True)
            said = [f"{heading} {text}".strip() for heading, text in named if text]
            self.say(f"  {first}")
            self.say_indented(", ".join(said), 4)


def number(count: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 delivery``, ``5,000 deliveries``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def deliveries(count: int, messages: int | None = None) -> str:
    """Return a number of deliveries in words, and of how many messages where that differs."""
    of = "" if messages in (None, count) else f" ({number(messages or 0, 'message')})"
    return f"{number(count, 'delivery', 'deliveries')}{of}"


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that fits."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return number(count, "byte")


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


def _wrapped(text: str, width: int) -> list[str]:
    # Broken between words only, so that an id or address can be copied.
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _writable(text: str, stream: OutputWrapper) -> str:
    """Return text that neither moves the cursor nor fails in the stream's encoding."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    encoding = getattr(stream, "encoding", None)
    return text.encode(encoding, "backslashreplace").decode(encoding) if encoding else text


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return f"{value:,}" if _is_number(value) else str("" if value is None else value)


def _is_number(value: object) -> bool:
    return isinstance(value, int)


def _as_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
