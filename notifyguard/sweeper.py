"""The sweeper: delivers what a dead process left, and ends leases that ran out.

Any number may run at once: each takes rows that no other has locked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from notifyguard import alerts, ledger
from notifyguard.decision import State
from notifyguard.gate import kept
from notifyguard.ledger import leases, letting_go, queue, retries
from notifyguard.ledger import rows as ledger_rows
from notifyguard.models import Delivery

logger = logging.getLogger("notifyguard")

BATCH = 50
"""Deliveries that one sweeper takes at a time, so that a crash leaves few to wait."""


@dataclass(slots=True)
class Swept:
    """What a sweep did, in deliveries.

    Attributes:
        delivered: taken from the queue, whatever came of them.
        uncertain: marked by a process that did not report back.
        abandoned: claimed by a process that died before the mark; their keys are free.
        requeued: taken by a sweeper that died.
        resent: uncertain, and queued to be sent again.
    """

    delivered: int = 0
    uncertain: int = 0
    abandoned: int = 0
    requeued: int = 0
    resent: int = 0


def sweep(
    go_on: Callable[[int], bool] = lambda delivered: True,
    let_go: Callable[[], int] = letting_go.advance_for_sweepers,
) -> Swept:
    """End leases and deliver everything that is due, once.

    Args:
        go_on: asked before each message, with the number of deliveries so far;
            when it says ``False`` the rest is queued again and the sweep ends.
        let_go: called when nothing is due: lets held deliveries go, and returns how many.
    """
    ended = leases.expire_leases()
    swept = Swept(
        uncertain=ended[State.UNCERTAIN],
        abandoned=ended[State.FAILED],
        requeued=ended[State.QUEUED],
        resent=retries.resend(),
    )
    while go_on(swept.delivered) and (rows := _take(let_go)):
        for dispatch, group in groupby(sorted(rows, key=_dispatch), key=_dispatch):
            message = list(group)
            if go_on(swept.delivered):
                _deliver(dispatch, message)
                swept.delivered += len(message)
            else:
                queue.give_back(message)
    alerts.sum_up()
    return swept


def _take(let_go: Callable[[], int]) -> list[Delivery]:
    return queue.take(BATCH) or (queue.take(BATCH) if let_go() else [])


def _deliver(dispatch: UUID, rows: list[Delivery]) -> None:
    entries = [ledger_rows.entry_of(row) for row in rows]
    try:
        kept.deliver_taken(dispatch, entries)
    except Exception as error:  # any: one bad message must not stop the others
        # Its name alone: what a server or database says may hold addresses.
        name = type(error).__name__
        logger.error("notifyguard: the sweeper could not deliver dispatch %s: %s", dispatch, name)
        _settle_unstarted(entries)


def _settle_unstarted(entries: list[ledger.Entry]) -> None:
    left = [entry for entry in entries if entry.state is State.CLAIMED]
    if left:
        queue.put_back(
            left,
            rule="sweep",
            reason="The sweeper could not deliver it; see the log.",
            state=State.HELD,
        )


_dispatch = attrgetter("dispatch")
