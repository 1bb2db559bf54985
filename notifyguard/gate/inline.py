"""The ordinary way: no transaction of the caller is open, and messages leave now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import Error as DatabaseFailure

from notifyguard import ledger
from notifyguard.decision import State
from notifyguard.gate import failures, late, quota, resending
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.gate.stopped import failed
from notifyguard.ledger import Entry, StaleBoard
from notifyguard.switchboard import Board

CHUNK = 100
"""Messages that a batch claims at once; a crash leaves their claims to expire."""

_BATCH_STOPPED = "An earlier message of the same batch failed."


def send(passage: Passage, messages: Sequence[Any]) -> Any:
    """Judge, record and hand over; return what the backend returned for all of them."""
    return passage.through(messages, partial(_send_all, passage))


def _send_all(passage: Passage, cases: list[Case]) -> None:
    if len(cases) == 1 or any(map(resending.applies, cases)):
        for case in cases:
            failures.with_ledger(passage, [case], partial(_send_one, passage))
        return
    for start in range(0, len(cases), CHUNK):
        failures.with_ledger(passage, cases[start : start + CHUNK], partial(_send_chunk, passage))


# One message: claim and mark in one statement.


def _send_one(passage: Passage, cases: list[Case], board: Board) -> None:
    (case,) = cases
    passage.judge(cases, board)
    if case.passing and resending.applies(case):
        resending.send(passage, case, board)
    elif case.passing and passage.prepare(case):
        for entry in case.passing:
            entry.state = State.IN_FLIGHT
        won = ledger.record(case.passing, board.generation)
        if _keep_winners(passage, case, won):
            passage.confirm(passage.deliver(case))


# Many messages: claim them all, then confirm each with the mark of the next.


def _send_chunk(passage: Passage, cases: list[Case], board: Board) -> None:
    passage.judge(cases, board)
    claimed = _claim(passage, cases, board)
    landed: list[Entry] = []
    try:
        for case in [case for case in cases if case.passing]:
            if passage.prepare(case):
                won = ledger.mark(case.passing, board.generation, confirming=landed)
                landed = []
                landed = passage.deliver(case) if _keep_winners(passage, case, won) else []
    except DatabaseFailure as error:
        if error is not passage.raised:
            # The ledger failed: what it could not mark is decided on by ``failures``.
            passage.confirm(landed)
            with late.logged("give back claims"):
                ledger.withdraw(_unmarked(claimed))
            landed, cases = [], []
        raise
    except StaleBoard:
        landed = []  # confirmed all the same
        ledger.withdraw(_unmarked(claimed))
        raise
    finally:
        passage.confirm(landed)
        _give_back(cases)
        quota.settle([case for case in cases if case.settled])


def _claim(passage: Passage, cases: list[Case], board: Board) -> list[Entry]:
    entries = [entry for case in cases for entry in case.passing]
    for entry in entries:
        entry.state = State.CLAIMED
    won = set(map(id, ledger.record(entries, board.generation)))
    for case in cases:
        _keep_winners(passage, case, [entry for entry in case.passing if id(entry) in won])
    return [entry for entry in entries if id(entry) in won]


def _give_back(cases: list[Case]) -> None:
    for case in cases:
        left = _unmarked(case.passing)
        if left:
            with late.logged("give back claims"):
                ledger.give_up(failed(left, "batch", _BATCH_STOPPED))
            case.settle(left)


def _unmarked(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.state is State.CLAIMED]


def _keep_winners(passage: Passage, case: Case, won: Sequence[Entry]) -> bool:
    """Leave out what lost its key, or its lease; build again what is smaller now.

    It stays unsettled, and so is judged once more: who took the key decides what
    becomes of it.
    """
    smaller = len(won) < len(case.passing)
    case.passing = [entry for entry in case.passing if entry in won]
    return bool(case.passing) and (not smaller or case.prepared is None or passage.prepare(case))
