"""The lines of log files, as a stream: plain or compressed, from syslog, Exim or journald."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import IO, Any

STDIN = Path("-")
LONGEST = 16_384
"""Characters of a line that are looked at."""

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
# Zstandard, LZ4, zip, 7-Zip, compress, a journal of systemd; and those above, once unpacked.
_UNREADABLE = (
    *(b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"PK\x03\x04", b"7z\xbc\xaf"),
    *(b"\x1f\x9d", b"LPKSHHRH", *_OPENERS),
)
_EXPORTED = "__REALTIME_TIMESTAMP="
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)? ?(Z|[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(r"(?:<\d+>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)")


def read_lines(path: Path, progress: Callable[[int], None] = lambda read: None) -> Iterator[str]:
    """Yield the lines of a log file, whatever it was compressed with; ``-`` is standard input.

    Args:
        path: the file.
        progress: called now and then with the number of bytes read of it.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: it cannot be read.
    """
    if path == STDIN:
        yield from _joined(_decoded(sys.stdin.buffer))
        return
    with path.open("rb") as raw:
        yield from _joined(_counted(_decoded(_uncompressed(raw)), raw, progress))


def moment(line: str, zone: tzinfo | None = None) -> datetime | None:
    """Return when a line was written, or ``None`` if it does not say.

    Args:
        line: begins with a time as syslog, rsyslog, journald or Exim writes it.
        zone: of times that name none; ``None`` for this host's.
    """
    try:
        if found := _ISO.match(line):
            day, time, offset = found.groups()
            return _aware(datetime.fromisoformat(f"{day}T{time}{offset or ''}"), zone)
        if found := _SYSLOG.match(line):
            return _of_this_year(" ".join(found.groups()), zone)
    except (ValueError, OverflowError):
        pass  # looks like a time and is none
    return None


def _of_this_year(text: str, zone: tzinfo | None) -> datetime | None:
    """Return a time without a year as the last one that is not to come."""
    now = datetime.now(UTC)
    for year in range(now.year + 1, now.year - 8, -1):
        try:
            at = datetime.strptime(f"{year} {text}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007
        except ValueError:
            continue  # 29 February
        if (aware := _aware(at, zone)) <= now + timedelta(days=1):
            return aware
    return None


def _aware(at: datetime, zone: tzinfo | None) -> datetime:
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone) if zone else at.astimezone()
    return at.astimezone(UTC)


def _uncompressed(raw: IO[bytes]) -> Iterable[bytes]:
    start = raw.read(6)
    raw.seek(0)
    openers = (opener for magic, opener in _OPENERS.items() if start.startswith(magic))
    opener = next(openers, None)
    return opener(raw) if opener else raw


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number and line.startswith(_UNREADABLE):
            # Read as lines it would say nothing, and that may count as proof.
            raise OSError("one is packed in a form that is not read here; unpack it first")
        # Addresses are ASCII or UTF-8; what is neither must not end the reading.
        yield line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n")


def _counted(
    lines: Iterable[str], raw: IO[bytes], progress: Callable[[int], None]
) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number % 5_000:
            progress(raw.tell())
        yield line


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Make one line of each entry that ``journalctl -o export`` writes as a paragraph."""
    entry: dict[str, str] = {}
    for line in lines:
        if entry or line.startswith(("__CURSOR=", _EXPORTED)):
            name, _, value = line.partition("=")
            entry[name] = value
            if not line:
                yield _told(entry)
                entry = {}
        else:
            yield line
    if entry:
        yield _told(entry)


def _told(entry: dict[str, str]) -> str:
    at = _stamped(entry.get("__REALTIME_TIMESTAMP", ""))
    name, process = entry.get("SYSLOG_IDENTIFIER", ""), entry.get("_PID", "0")
    return f"{at}host {name}[{process}]: {entry.get('MESSAGE', '')}"


def _stamped(microseconds: str) -> str:
    """Return when an entry was written; nothing where it does not say.

    A time that was made up would have the log reach to where it does not, and its
    silence prove that a message never left.
    """
    try:
        at = datetime.fromtimestamp(int(microseconds) // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{at:%Y-%m-%dT%H:%M:%S}Z "
