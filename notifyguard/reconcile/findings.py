"""What a log proves of each uncertain delivery, and writing it down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from notifyguard.actor import Actor
from notifyguard.channels.evidence import without_addresses
from notifyguard.decision import State
from notifyguard.ledger import uncertain
from notifyguard.ledger.uncertain import Choice, Finding, Uncertain
from notifyguard.reconcile.reading import Evidence

MARGIN = timedelta(hours=1)
"""How far a log must reach beyond the time in question: clocks differ, servers wait."""


# What every server logs as it is written, and the ledger holds whole.
_WELL_FORMED = re.compile(r"<[!-;=?-~]{1,250}>")


class Proof(StrEnum):
    """What a log says of a delivery; only the first three prove anything."""

    ACCEPTED = "accepted by the server"
    REFUSED = "refused by the server"
    NEVER_CAME = "never came to the server"
    ON_ITS_WAY = "taken by the server, nothing yet of this recipient"
    SHARED = "in the log, but other messages share its Message-ID"
    UNNAMED = "without a well-formed Message-ID, so it cannot be looked for"
    NOT_COVERED = "not in the log, which does not cover its time"
    NOT_IN_LOG = "not in the log, which may not be complete"


FINDINGS = {
    Proof.ACCEPTED: Finding.SENT,
    Proof.REFUSED: Finding.NOT_SENT,
    Proof.NEVER_CAME: Finding.NOT_SENT,
}


@dataclass(slots=True)
class Findings:
    """What was found out.

    Attributes:
        counts: deliveries by what the log says of them.
        proven: by finding, each delivery with the log's words.
    """

    counts: Counter[Proof] = field(default_factory=Counter)
    proven: dict[Finding, list[tuple[UUID, str]]] = field(default_factory=dict)


def wanted(choice: Choice) -> list[Uncertain]:
    """Return the uncertain deliveries that are looked for in a log, the oldest first."""
    return list(uncertain.chosen(choice))


def compare(rows: Iterable[Uncertain], evidence: Evidence, *, complete: bool) -> Findings:
    """Tell what the log proves of each delivery.

    That a log says nothing of a message proves something only if nothing is missing
    from it: no other server, no lost lines, no file left out. Only a person knows.

    Args:
        rows: the deliveries, uncertain.
        evidence: what the log says.
        complete: somebody has said that the log misses nothing.
    """
    findings, rows = Findings(), list(rows)
    pairs = {*evidence.accepted, *evidence.refused}
    named = uncertain.namesakes([row for row in rows if (row.message_id, row.recipient) in pairs])
    for row in rows:
        proof, said = _proof(row, evidence, named.get(row.id, set()), complete)
        findings.counts[proof] += 1
        if proof in FINDINGS:
            finding = FINDINGS[proof]
            findings.proven.setdefault(finding, []).append((row.id, without_addresses(said)))
    return findings


def settle(findings: Findings, *, subject: str, reason: str, actor: Actor) -> Iterator[int]:
    """Write down what was proven: ``sent``, or ``failed`` with the key freed.

    Lazy and in batches, as ``uncertain.resolve_many``. Yields how many were settled.
    """
    for finding, found in findings.proven.items():
        yield from uncertain.resolve_many(
            found, finding, subject=subject, reason=reason, actor=actor
        )


def _proof(
    row: Uncertain, evidence: Evidence, others: set[State], complete: bool
) -> tuple[Proof, str]:
    pair = (row.message_id, row.recipient)
    if not _WELL_FORMED.fullmatch(row.message_id):
        return Proof.UNNAMED, ""
    if pair in evidence.accepted:
        if others - {State.FAILED}:
            return Proof.SHARED, ""
        # Tried more than once: what was accepted once is out, whatever came before or after.
        return Proof.ACCEPTED, evidence.accepted[pair]
    if pair in evidence.refused:
        # Of two the refusal may be the other's, which has failed.
        return (Proof.SHARED, "") if others else (Proof.REFUSED, evidence.refused[pair])
    if row.message_id in evidence.taken:
        return Proof.ON_ITS_WAY, ""
    if not _covers(evidence, row):
        return Proof.NOT_COVERED, ""
    return (Proof.NEVER_CAME if complete else Proof.NOT_IN_LOG), "not in the log"


def _covers(evidence: Evidence, row: Uncertain) -> bool:
    if evidence.first is None or evidence.last is None:
        return False
    begun, ended = _in_utc(row.created_at), _in_utc(row.changed_at)
    return evidence.first <= begun - MARGIN and ended + MARGIN <= evidence.last


def _in_utc(at: datetime) -> datetime:
    aware = at if timezone.is_aware(at) else timezone.make_aware(at)
    return aware.astimezone(UTC)
