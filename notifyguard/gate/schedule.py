"""What is to leave later: kept with its keys taken; a sweeper delivers it when it is due."""

from __future__ import annotations

from notifyguard import ledger
from notifyguard.channels.freezing import Frozen
from notifyguard.decision import State
from notifyguard.gate.case import Case
from notifyguard.ledger import Entry
from notifyguard.switchboard import Board


def keep(case: Case, board: Board) -> None:
    """Queue a message until it is due; its key is taken from now on.

    What loses its key stays unsettled, and is judged once more.

    Raises:
        CannotFreeze: it cannot be kept.
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    if queue(case, board, case.freeze()):
        case.returned = 1


def queue(case: Case, board: Board, frozen: Frozen | None) -> list[Entry]:
    """Queue a message with its keys taken; return the entries that have won theirs.

    Args:
        case: whose passing entries are queued.
        board: the switches they were judged under.
        frozen: the message, if it is not stored already.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    entries, case.passing = case.passing, []
    for entry in entries:
        entry.state, entry.frozen = State.QUEUED, True
    won = ledger.record(entries, board.generation, frozen)
    case.settle(won)
    return won
