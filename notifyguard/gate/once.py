"""Keys that are taken: duplicates are settled, conflicts held, before anything connects."""

from __future__ import annotations

from collections.abc import Sequence

from notifyguard import ledger
from notifyguard.decision import Decision, Sending
from notifyguard.gate.case import Case, duplicates, stop
from notifyguard.gate.late import logger
from notifyguard.gate.passage import Passage
from notifyguard.ledger import Entry
from notifyguard.switchboard import Board

CONFLICT = Decision(
    Sending.HOLD,
    rule="conflict",
    reason="The key was used for a message with other content; somebody must look.",
)


def drop_taken(passage: Passage, cases: Sequence[Case], board: Board) -> None:
    """Settle every passing entry whose key another delivery holds.

    Args:
        passage: the way they take.
        cases: judged; a key twice among them counts as taken by the first.
        board: the switches they were judged under.
    """
    keyed = [(case, entry, entry.key) for case in cases for entry in case.passing if entry.key]
    taken = ledger.look(list(dict.fromkeys(key for _, _, key in keyed)))
    contents = {key: holder.fingerprint for key, holder in taken.items()}
    for case, entry, key in keyed:
        if key not in contents:
            contents[key] = entry.fingerprint
        elif contents[key] in (None, entry.fingerprint):  # None: not known any more
            _duplicate(case, entry)
        else:
            _conflict(passage, case, entry, board)


def _duplicate(case: Case, entry: Entry) -> None:
    if case.settings.mode == "observe":
        # Nobody set this: it leaves, without a claim, and the ledger says why.
        entry.key, entry.rule = None, "observed duplicate"
    else:
        case.settle(duplicates([entry]))


def _conflict(passage: Passage, case: Case, entry: Entry, board: Board) -> None:
    if case.settings.mode == "observe":
        entry.key, entry.rule, entry.reason = None, "observed conflict", CONFLICT.reason
        return
    stop(entry, CONFLICT)
    # A key of its own: the same conflict again is a duplicate of the held one.
    entry.key = ledger.key_of(board.salt, "conflict", str(entry.key), str(entry.fingerprint))
    if entry.key in ledger.look([entry.key]):
        case.settle(duplicates([entry]))
    else:
        passage.stop(case, CONFLICT, [entry], board)
    _alarm(entry)


def _alarm(entry: Entry) -> None:
    """Say that a key was used twice for different content."""
    logger.error(
        "notifyguard: conflict: a key of type %s was used for another content; held as delivery %s",
        entry.type,
        entry.id,
    )
