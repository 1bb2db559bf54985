"""A person has set a switch: in the settings, the environment or the database."""

from __future__ import annotations

from notifyguard.decision import Decision
from notifyguard.rules.base import Candidate


def switches(candidate: Candidate) -> Decision | None:
    """Hold or discard what the strongest switch stops."""
    ruling = candidate.board.ruling(candidate.type, candidate.settings)
    if ruling is None:
        return None
    return Decision(ruling.sending, rule="switch", reason=str(ruling), by_person=True)
