"""Delivering what was kept, by the process that queued it: on commit, or at once.

The rules that time changes are asked again: the switches, who may be written to, and
whether it is stale; and now the limits. The others had their say when it was queued.
What this process leaves behind is for a sweeper: ``taken``.
"""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from notifyguard import alerts, conf, switchboard
from notifyguard.channels import email
from notifyguard.channels.email import Dispatch
from notifyguard.channels.freezing import Frozen, thaw
from notifyguard.conf import Settings
from notifyguard.decision import Decision
from notifyguard.gate import blocking, quota
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.ledger import Entry, StaleBoard, departure, queue
from notifyguard.ledger.postponed import postpone
from notifyguard.notification import Notification
from notifyguard.switchboard import Board

logger = logging.getLogger("notifyguard")


def deliver(
    entries: Sequence[Entry],
    frozen: Frozen,
    backend: Any,
    inner: Callable[[Any], Any],
    message: Any = None,
    *,
    caller_waits: bool = False,
) -> None:
    """Deliver one queued dispatch over a backend.

    Args:
        entries: its queued or taken rows.
        frozen: its message.
        backend: to hand it to.
        inner: calls the backend's original ``send_messages``.
        message: it thawed, if somebody has done that.
        caller_waits: whether who sent it is told what becomes of it.

    Raises:
        Exception: what the backend raised; the ledger says ``failed`` or ``uncertain``.
    """
    passage = Passage(backend, inner, conf.current())
    case = case_of(entries, message or thaw(frozen), passage.settings, caller_waits=caller_waits)
    try:
        while case.passing:
            # The present one: a process that runs for days has nothing else to tell it that
            # a hold is over, and would put back what was released.
            with contextlib.suppress(StaleBoard):
                _deliver_once(passage, case, switchboard.present_board())
    finally:
        passage.close()
        quota.settle([case])
        alerts.after_holding(case.held)


def deliver_on_commit(
    entries: Sequence[Entry], frozen: Frozen, backend: Any, inner: Callable[[Any], Any]
) -> None:
    """Deliver as ``deliver`` does, but raise nothing: the caller's work is committed."""
    try:
        deliver(entries, frozen, backend, inner)
    except Exception as error:  # any; if Django logged it, message and addresses would show
        logger.error(
            "notifyguard: dispatch %s failed: %s", entries[0].dispatch, type(error).__name__
        )


def judge_again(cases: Sequence[Case], board: Board) -> None:
    """Decide once more on what was kept; write down what is stopped now, or has to wait."""
    blocking.look(cases, board)
    for case in cases:
        for decision, entries in case.judge_again(board).items():
            case.set_aside(decision, entries)
    quota.keep_within(cases, board)
    stopped: defaultdict[Decision, list[Entry]] = defaultdict(list)
    for case in cases:
        for decision, entries in case.aside.items():
            stopped[decision] += entries
    for decision, entries in stopped.items():
        _put_back(decision, entries)
    for case in cases:
        case.settle([entry for entries in case.aside.values() for entry in entries])


def case_of(
    entries: Sequence[Entry], message: Any, settings: Settings, *, caller_waits: bool = False
) -> Case:
    """Return the case of a message that was judged before.

    Args:
        entries: its queued or taken rows.
        message: as it was restored.
        settings: the present settings.
        caller_waits: whether who sent it is told what becomes of it.
    """
    first = entries[0]
    dispatch = Dispatch(
        id=first.dispatch,
        message=message,
        notification=Notification(first.type, max_age=first.max_age),
        recipients=email.recipients_of(message),
        origin=first.origin,
        call_site=first.call_site,
        task_id=first.task_id,
        backend=first.backend,
        subject=first.subject,
    )
    return Case(dispatch, settings, passing=list(entries), caller_waits=caller_waits)


def _deliver_once(passage: Passage, case: Case, board: Board) -> None:
    judge_again([case], board)
    if case.passing and passage.prepare(case):
        observing = case.settings.mode == "observe"
        started = departure.start(case.passing, board, observing=observing)
        case.settle([entry for entry in case.passing if entry not in started])
        if case.passing and len(started) < len(case.dispatch.recipients):
            passage.prepare(case)
        if case.passing:
            passage.confirm(passage.deliver(case))


def _put_back(decision: Decision, entries: Sequence[Entry]) -> None:
    rule, reason = decision.rule, decision.reason
    if decision.until is not None:
        postpone(entries, decision.until, rule=rule, reason=reason)
    else:
        takes_key, state = decision.takes_key, decision.state
        queue.put_back(entries, rule=rule, reason=reason, state=state, takes_key=takes_key)
