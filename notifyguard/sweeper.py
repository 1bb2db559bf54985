"""The sweeper: delivers what a dead process left, and ends leases that ran out.

Any number may run at once: each takes rows that no other has locked. An integration may
give it a chore: what has to be done again and again, by whoever sweeps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from notifyguard import alerts, conf
from notifyguard.decision import State
from notifyguard.gate import digests, taken
from notifyguard.ledger import leases, queue, retries
from notifyguard.models import Delivery

BATCH = 100
"""Deliveries that one sweeper takes at a time, so that a crash leaves few to wait."""

LOOK = 60
"""Seconds after which a long sweep ends leases once more; that it does says that it runs."""

TURN = 10
"""Seconds that a chore may take at a time: mail waits for it."""

Chore = Callable[[Callable[[], bool]], int]

logger = logging.getLogger("notifyguard")

_chores: dict[str, Chore] = {}
_failing: set[str] = set()


@dataclass(slots=True)
class Swept:
    """What a sweep did, in deliveries.

    Attributes:
        delivered: taken from the queue, whatever came of them.
        uncertain: marked by a process that did not report back.
        abandoned: claimed by a process that died before the mark; their keys are free.
        requeued: taken by a sweeper that died.
        resent: uncertain, and queued to be sent again.
        chores: how much was done of each chore, by its words.
    """

    delivered: int = 0
    uncertain: int = 0
    abandoned: int = 0
    requeued: int = 0
    resent: int = 0
    chores: dict[str, int] = field(default_factory=dict)


def do_too(what: str, chore: Chore) -> None:
    """Have every sweep of this process do something for an integration, from now on.

    Args:
        what: it does, in words that follow a number: ``spooled tasks published``.
        chore: does it, and returns how much was done. It is given a function that says
            whether it may go on, to be asked again and again. Where it raises that is
            logged, once until it works again, and mail is delivered all the same.
    """
    _chores[what] = chore


def sweep(
    go_on: Callable[[int], bool] = lambda delivered: True,
    let_go: Callable[[], int] = digests.advance_for_sweepers,
) -> Swept:
    """End leases and deliver everything that is due, once.

    Args:
        go_on: asked before each message, with the number of deliveries so far;
            when it says ``False`` the rest is queued again and the sweep ends.
        let_go: called when nothing is due: lets held deliveries go, and returns how many.
    """
    swept, looked = Swept(), time.monotonic()
    _end_leases(swept)
    _do_chores(swept, go_on)
    while go_on(swept.delivered) and (rows := _take(let_go)):
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            _end_leases(swept)
            _do_chores(swept, go_on)
        # Past half of its lease others would soon take this process for dead.
        until = time.monotonic() + conf.current().lease / 2
        with closing(taken.deliver(rows)) as delivered:
            for count in delivered:
                swept.delivered += count
                if time.monotonic() > until or not go_on(swept.delivered):
                    break
    alerts.sum_up()
    return swept


def _end_leases(swept: Swept) -> None:
    ended = leases.expire_leases()
    swept.uncertain += ended[State.UNCERTAIN]
    swept.abandoned += ended[State.FAILED]
    swept.requeued += ended[State.QUEUED]
    swept.resent += retries.resend()


def _do_chores(swept: Swept, go_on: Callable[[int], bool]) -> None:
    for what, chore in _chores.items():
        try:
            done = chore(_turn(swept, go_on))
        except Exception as error:
            if what not in _failing:
                _failing.add(what)
                logger.error("notifyguard: no %s: %s", what, type(error).__name__)
        else:
            swept.chores[what] = swept.chores.get(what, 0) + done
            _failing.discard(what)


def _turn(swept: Swept, go_on: Callable[[int], bool]) -> Callable[[], bool]:
    until = time.monotonic() + TURN
    return lambda: time.monotonic() < until and go_on(swept.delivered)


def _take(let_go: Callable[[], int]) -> list[Delivery]:
    return queue.take(BATCH) or (queue.take(BATCH) if let_go() else [])
