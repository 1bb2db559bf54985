"""Sending while a transaction of the caller is open on the ledger's database.

Nothing here waits for anybody or makes anybody wait: rows are written into the
caller's own transaction, without claims and without locks. So a rollback takes
them back, and two callers cannot deadlock because of a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import transaction

from notifyguard import clock, database, ledger, switchboard
from notifyguard.decision import State
from notifyguard.exceptions import InTransaction
from notifyguard.gate import blocking, failures, kept, late, quota, resending, room
from notifyguard.gate.case import Case
from notifyguard.gate.inferred import task_of
from notifyguard.gate.passage import Passage
from notifyguard.switchboard import Board


def send(passage: Passage, messages: Sequence[Any]) -> Any:
    """Queue messages for the commit, or send them at once, as their types say.

    Raises:
        InTransaction: a type's ``in_transaction`` is ``"error"``.
    """
    return passage.through(messages, lambda cases: _send_all(passage, cases))


def _send_all(passage: Passage, cases: list[Case]) -> None:
    for case in cases:
        _refuse_if_told(case)
    for case in cases:
        try:
            _send(passage, case)
        except DatabaseFailure as error:
            if error is passage.raised or case.settled:
                raise
            failures.without_ledger(passage, [case], error)


def _send(passage: Passage, case: Case) -> None:
    board = switchboard.present_board()
    _set_aside(case, board)
    if case.passing and (case.scheduled or _way(case) == "defer"):
        _queue(passage, case)
    elif case.passing:
        _send_now(passage, case, board)


def _refuse_if_told(case: Case) -> None:
    if _way(case) == "error":
        raise InTransaction(
            f"{case.dispatch.notification.type} was sent inside atomic(), and its "
            'in_transaction is "error". Send it after the commit: transaction.on_commit().'
        )


def _way(case: Case) -> str:
    options = case.settings.for_type(case.dispatch.notification.type)
    # What is only observed leaves as it would without us.
    inferred = task_of(case.dispatch) is not None and case.settings.mode != "observe"
    # What is sent again when its fate is not known must be kept before it leaves.
    is_kept = case.keyed or inferred or resending.applies(case)
    return options.in_transaction or ("defer" if is_kept else "now")


def _set_aside(case: Case, board: Board) -> None:
    blocking.look([case], board)
    case.judge(board)
    _record_aside(case)


def _record_aside(case: Case) -> None:
    room.keep_within(case)
    for decision, entries in list(case.aside.items()):
        frozen = case.freeze() if decision.keeps_body else None
        ledger.note(entries, frozen)
        case.settle(entries)


def _queue(passage: Passage, case: Case) -> None:
    """Freeze the message into the caller's transaction; to be delivered on commit, or when due."""
    now = clock.now(database.connection())
    for entry in case.passing:
        entry.state, entry.frozen = State.QUEUED, True
        # Its age counts from here, however late the commit comes.
        entry.due_at = entry.due_at or now
    frozen = case.frozen()
    entries = case.passing
    ledger.note(entries, None if case.kept else frozen)
    case.settle(entries)
    case.returned = 1
    connection = database.connection()
    if connection.in_atomic_block and not case.scheduled:
        # The frozen message: the object may be changed and sent again before the commit.
        deliver = partial(kept.deliver_on_commit, entries, frozen, passage.backend, passage.inner)
        transaction.on_commit(deliver, using=connection.alias, robust=True)


def _send_now(passage: Passage, case: Case, board: Board) -> None:
    """Hand over inside the caller's transaction, as without notifyguard.

    The row goes first: if it cannot be written, the message does not leave. It
    lives and dies with the transaction, so a log line stays behind.
    """
    quota.keep_within([case], board)
    _record_aside(case)
    if not case.passing or not passage.prepare(case):
        return
    if (present := switchboard.present_board()).generation != board.generation:
        _set_aside(case, present)  # somebody stopped something while the backend connected
        if not case.passing or not passage.prepare(case):
            return
    for entry in case.passing:
        entry.state = State.IN_FLIGHT
    ledger.note(case.passing)
    late.logger.info(
        "notifyguard: dispatch %s sent inside a transaction of the caller", case.dispatch.id
    )
    passage.confirm(passage.deliver(case))
