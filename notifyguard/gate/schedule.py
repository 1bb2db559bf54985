"""What is to leave later: kept with its keys taken; a sweeper delivers it when it is due."""

from __future__ import annotations

from notifyguard import ledger
from notifyguard.decision import State
from notifyguard.gate.case import Case
from notifyguard.switchboard import Board


def keep(case: Case, board: Board) -> None:
    """Queue a message until it is due; its key is taken from now on.

    What loses its key stays unsettled, and is judged once more.

    Raises:
        CannotFreeze: it cannot be kept.
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    frozen = case.freeze()
    entries, case.passing = case.passing, []
    for entry in entries:
        entry.state, entry.frozen = State.QUEUED, True
    won = ledger.record(entries, board.generation, frozen)
    case.settle(won)
    if won:
        case.returned = 1
