"""The evidence that log files hold for the messages that are looked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import islice
from pathlib import Path

from notifyguard.channels.email import normalised
from notifyguard.reconcile.exim import Exim
from notifyguard.reconcile.lines import STDIN, moment, read_lines
from notifyguard.reconcile.postfix import Postfix
from notifyguard.reconcile.word import Word

Pair = tuple[str, str]

_TIMED = 1_000
"""Lines between two that are asked for their time, which costs more than the rest."""


@dataclass(slots=True)
class Evidence:
    """What a log says, by Message-ID and normalised recipient.

    Attributes:
        accepted: what it says of those whom the server took it for.
        refused: of those whom it refused.
        taken: the messages that the server took, for whomever.
        first: when its first line was written, ``None`` if no line says.
        last: when its last line was.
        lines: how many it has.
    """

    accepted: dict[Pair, str] = field(default_factory=dict)
    refused: dict[Pair, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None
    lines: int = 0

    def hear(self, word: Word) -> None:
        """Take in one thing that the log says."""
        if word.accepted:
            self.taken.add(word.message_id)
        if word.recipient:
            pair = (word.message_id, normalised(word.recipient))
            (self.accepted if word.accepted else self.refused)[pair] = word.said


def read(
    paths: Iterable[Path],
    wanted: Container[str],
    *,
    zone: tzinfo | None = None,
    progress: Callable[[int], None] = lambda read: None,
) -> Evidence:
    """Read log files as a stream; what is kept grows with what is looked for, not with them.

    Args:
        paths: the files in any order, each with lines in order; ``-`` for standard input.
        wanted: the Message-IDs that are looked for, with their angle brackets.
        zone: of times in the log that name none; ``None`` for this host's.
        progress: called now and then with the number of bytes read of all files.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: a file cannot be read.
    """
    evidence, readers = Evidence(), (Postfix(wanted), Exim(wanted))
    done = 0
    # The oldest first: a message may span a rotation, its name before and its fate after.
    for path in sorted(paths, key=lambda path: _begins(path, zone)):
        at_start = done

        def show(read: int, at_start: int = at_start) -> None:
            progress(at_start + read)

        line = ""
        for line in read_lines(path, show):
            if not evidence.lines % _TIMED:
                _time(evidence, line, zone)
            evidence.lines += 1
            for reader in readers:
                for word in reader.read(line):
                    evidence.hear(word)
        _time(evidence, line, zone)
        done += path.stat().st_size if path != STDIN else 0
    return evidence


def _begins(path: Path, zone: tzinfo | None) -> datetime:
    """Return when the first line of a file was written, as far as one says."""
    if path == STDIN:
        return datetime.max.replace(tzinfo=UTC)  # it can be read only once
    first = (moment(line, zone) for line in islice(read_lines(path), 100))
    return next(filter(None, first), datetime.max.replace(tzinfo=UTC))


def _time(evidence: Evidence, line: str, zone: tzinfo | None) -> None:
    at = moment(line, zone)
    if at is not None:
        evidence.first = min(evidence.first or at, at)
        evidence.last = max(evidence.last or at, at)
