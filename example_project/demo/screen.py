"""What a person sees: progress bars and tables, with nothing but the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TextIO

WIDTH = 30
LABEL = 34
BOX = str.maketrans("─│┌┬┐├┼┤└┴┘", "-|+++++++++")

Row = Sequence[str]


class Report(Protocol):
    """Is told how far something is."""

    def __call__(self, done: int, total: int) -> None: ...


class Bar:
    """A progress bar that redraws its line on a terminal and prints one line elsewhere."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        live = self._stream.isatty()
        if live or done == total:
            filled = WIDTH * done // max(1, total)
            bar = "#" * filled + "." * (WIDTH - filled)
            start, end = ("\r" if live else ""), ("" if live and done < total else "\n")
            line = f"{start}  {self._label:<{LABEL}} [{bar}] {done:,}/{total:,}{end}"
            self._stream.write(line)
            self._stream.flush()


def table(heading: Row, rows: Sequence[Row], encoding: str | None = "utf-8") -> str:
    """Return a boxed table: first column to the left, the others to the right.

    Where ``encoding`` has no box-drawing characters the box is made of ``+-|``.
    """
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    def line(cells: Row) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"│ {' │ '.join(padded)} │"

    drawn = [rule("┌", "┬", "┐"), line(heading), rule("├", "┼", "┤")]
    text = "\n".join([*drawn, *map(line, rows), rule("└", "┴", "┘")])
    return text if can_draw(encoding) else text.translate(BOX)


def can_draw(encoding: str | None) -> bool:
    """Tell whether box-drawing characters can be written in ``encoding``."""
    try:
        "─┼".encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
