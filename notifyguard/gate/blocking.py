"""Which recipients are blocked: looked up before they are judged, so that no rule reads."""

from __future__ import annotations

from collections.abc import Sequence

from notifyguard import switchboard
from notifyguard.gate.case import Case
from notifyguard.switchboard import Board


def look(cases: Sequence[Case], board: Board) -> None:
    """Write on the cases which of their recipients are blocked, by one query for all.

    Raises:
        DatabaseError: the ledger cannot be asked.
    """
    asked = dict.fromkeys(to for case in cases for to in case.dispatch.recipients)
    blocks = switchboard.blocked_among(board, list(asked))
    for case in cases:
        case.blocks = blocks
