"""Delivering what was kept: on commit by the process that queued it, else by the sweeper.

The rules that time changes are asked again: the switches, who may be written to, and
whether it is stale; and now the limits. The others had their say when it was queued.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from notifyguard import alerts, conf, hold, switchboard
from notifyguard.channels import connections, email
from notifyguard.channels.email import Dispatch
from notifyguard.channels.freezing import Frozen, thaw
from notifyguard.decision import State
from notifyguard.exceptions import CannotConnect, CannotThaw
from notifyguard.gate import blocking, quota
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.ledger import Entry, StaleBoard, departure, queue
from notifyguard.ledger.postponed import postpone
from notifyguard.notification import Notification

logger = logging.getLogger("notifyguard")


def deliver(
    entries: Sequence[Entry],
    frozen: Frozen,
    backend: Any,
    inner: Callable[[Any], Any],
    message: Any = None,
) -> None:
    """Deliver one queued dispatch over a backend.

    Args:
        entries: its queued or taken rows.
        frozen: its message.
        backend: to hand it to.
        inner: calls the backend's original ``send_messages``.
        message: it thawed, if somebody has done that.

    Raises:
        Exception: what the backend raised; the ledger says ``failed`` or ``uncertain``.
    """
    passage = Passage(backend, inner, conf.current())
    case = _case(passage, entries, message or thaw(frozen))
    try:
        while case.passing:
            # Read anew: a sweeper that runs for days has nothing else to tell it that
            # a hold is over, and would put back what was released.
            with contextlib.suppress(StaleBoard):
                _deliver_once(passage, case, switchboard.board(fresh=True))
    finally:
        passage.close()
        quota.give_back([case])
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


def deliver_taken(dispatch: UUID, entries: Sequence[Entry]) -> None:
    """Deliver a dispatch that the sweeper took, over the connection it was meant for."""
    frozen = hold.fetch(dispatch)
    try:
        if frozen is None:
            raise CannotThaw("its message is gone from the ledger's tables")
        with connections.connected(entries[0].backend) as (backend, inner):
            deliver(entries, frozen, backend, inner)
    except (CannotThaw, CannotConnect) as error:
        # A person must look: the row stays, and says why it cannot leave.
        rule = "thaw" if isinstance(error, CannotThaw) else "backend"
        queue.put_back(entries, rule=rule, reason=str(error), state=State.HELD)
        logger.error("notifyguard: dispatch %s cannot be restored; its row says why", dispatch)


def _deliver_once(passage: Passage, case: Case, board: switchboard.Board) -> None:
    blocking.look([case], board)
    for decision, entries in case.judge_again(board).items():
        case.set_aside(decision, entries)
    quota.keep_within([case], board)
    _put_aside_back(case)
    if case.passing and passage.prepare(case):
        observing = case.settings.mode == "observe"
        started = departure.start(case.passing, board, observing=observing)
        case.settle([entry for entry in case.passing if entry not in started])
        if case.passing and len(started) < len(case.dispatch.recipients):
            passage.prepare(case)
        if case.passing:
            passage.confirm(passage.deliver(case))


def _put_aside_back(case: Case) -> None:
    for decision, entries in list(case.aside.items()):
        if decision.until is not None:
            postpone(entries, decision.until, rule=decision.rule, reason=decision.reason)
        else:
            queue.put_back(
                entries,
                rule=decision.rule,
                reason=decision.reason,
                state=decision.state,
                takes_key=decision.takes_key,
            )
        case.settle(entries)


def _case(passage: Passage, entries: Sequence[Entry], message: Any) -> Case:
    """Return the case of a message that was judged before."""
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
    case = Case(dispatch, passage.settings)
    case.passing = list(entries)
    return case
