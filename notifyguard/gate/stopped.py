"""What is written on entries that do not leave: what was decided on them, or how they failed."""

from __future__ import annotations

from collections.abc import Sequence

from notifyguard.channels import email
from notifyguard.decision import Decision, State
from notifyguard.ledger import Entry


def failed(entries: Sequence[Entry], rule: str, reason: str) -> list[Entry]:
    """Write a proven failure on the entries."""
    for entry in entries:
        entry.state, entry.rule, entry.reason = State.FAILED, rule, email.storable(reason, 500)
    return list(entries)


def stop(entry: Entry, decision: Decision) -> None:
    """Write on an entry what was decided on it."""
    entry.state, entry.rule = decision.state, email.storable(decision.rule, 50)
    entry.reason, entry.frozen = email.storable(decision.reason, 500), decision.keeps_body
    entry.wakes_at = decision.until
    entry.takes_key = decision.takes_key
    if not decision.takes_key and not decision.keeps_body:
        entry.key = None  # nothing is left that could be undone
