"""The three journals a run leaves behind, as plain values the checker can judge.

Nothing here knows Django: a history can be read from a real run or written by
hand, which is how the checker itself is tested.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple


class Mode(StrEnum):
    """How a caller hands its message over."""

    INLINE = "inline"
    ATOMIC = "atomic"
    BATCH = "batch"
    SWEEPER = "sweeper"
    CONTROL = "control"
    # Of the tasks of a run over Celery.
    RETRY = "retry"
    TWINS = "twins"
    ETA = "eta"
    EFFECT = "effect"


class Copy(NamedTuple):
    """One message to one person: what must not exist twice."""

    name: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller set out to send.

    ``name`` is the idempotency key and the ``X-Intent`` header; a control has
    no key. Recipients belong to one name only, which joins the journals.
    ``fault`` says that the mail server was told to misbehave for it.
    """

    name: str
    recipients: tuple[str, ...]
    mode: Mode
    committed: bool = False
    rolled_back: bool = False
    fault: bool = False

    def copies(self) -> list[Copy]:
        return [Copy(self.name, recipient) for recipient in self.recipients]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the mail server took responsibility for; times in epoch seconds, its clock."""

    name: str
    recipients: tuple[str, ...]
    message_id: str = ""
    worker: str = ""
    begun: float = 0.0
    at: float = 0.0

    def copies(self) -> list[Copy]:
        return [Copy(self.name, recipient) for recipient in self.recipients]


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery of the ledger; ``process`` is the last that claimed or marked it.

    ``given_up``: three processes died over it, before they handed it over.
    """

    dispatch: str
    recipient: str
    state: str
    message_id: str = ""
    process: int = 0
    why: str = ""
    given_up: bool = False

    def __str__(self) -> str:
        return f"{self.state} ({self.why}) of process {self.process}"


@dataclass(frozen=True)
class History:
    """All three journals of one run, and which processes were killed in it."""

    intents: tuple[Intent, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    rows: tuple[Row, ...] = ()
    killed: frozenset[int] = frozenset()

    @cached_property
    def accepted(self) -> Counter[Copy]:
        return Counter(copy for envelope in self.envelopes for copy in envelope.copies())

    @cached_property
    def accepted_by_recipient(self) -> Mapping[str, list[Envelope]]:
        found: defaultdict[str, list[Envelope]] = defaultdict(list)
        for envelope in self.envelopes:
            for recipient in envelope.recipients:
                found[recipient].append(envelope)
        return found

    @cached_property
    def rows_by_recipient(self) -> Mapping[str, list[Row]]:
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.recipient].append(row)
        return found

    @cached_property
    def faulty(self) -> frozenset[str]:
        """Recipients for whom the mail server was told to misbehave."""
        return frozenset(r for i in self.intents if i.fault for r in i.recipients)


@dataclass(frozen=True, slots=True)
class Stop:
    """From the return of a command that stopped everything to the next that opened it.

    ``waited``: the command had been told to wait for those in the air.
    """

    returned: float
    reopened: float
    waited: bool = False


def read_envelopes(journal: Path) -> tuple[Envelope, ...]:
    """The accepted envelopes of the sink's journal, in the order they were accepted."""
    return tuple(_envelopes(journal.read_text(encoding="utf-8").splitlines()))


def _envelopes(lines: Iterable[str]) -> Iterable[Envelope]:
    for line in lines:
        entry = json.loads(line)
        if entry.get("event") == "accepted":
            yield _envelope(entry)


def _envelope(entry: Mapping[str, Any]) -> Envelope:
    marks = {name.lower(): value for name, value in entry["x"].items()}
    return Envelope(
        name=marks.get("x-intent", ""),
        recipients=tuple(entry["to"]),
        message_id=entry["message_id"],
        worker=marks.get("x-worker", ""),
        begun=entry["begun"],
        at=entry["at"],
    )
