"""The last question before a message connects: is there room under the limits?

It comes after the look for taken keys, so that a duplicate uses nothing up, and once
for each delivery, however often the switches change meanwhile. What a delivery used
up is given back when it is proven that it did not leave.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from notifyguard import conf
from notifyguard.decision import Decision, State
from notifyguard.gate.case import Case
from notifyguard.gate.late import logger
from notifyguard.gate.reports import is_only_reported
from notifyguard.ledger import Entry, handed_on
from notifyguard.limiters import MOST, Refusal, Request, limiter_for
from notifyguard.rules import broken, limits
from notifyguard.switchboard import Board


def keep_within(cases: Sequence[Case], board: Board) -> None:
    """Set aside every passing entry for which there is no room.

    Args:
        cases: judged, their taken keys settled.
        board: the switches they were judged under.
    """
    asked = [(case, entry) for case in cases for entry in case.passing]
    asked = [(case, entry) for case, entry in asked if entry.recipient not in case.granted]
    for start in range(0, len(asked), MOST):
        _set_aside(asked[start : start + MOST], board)


def settle(cases: Iterable[Case]) -> None:
    """Free what was used up by deliveries that are proven not to have left; never raises.

    Those that left long after they were counted, such as the last of a batch, count from now.
    """
    unused: list[Request] = []
    late: list[Request] = []
    now = time.monotonic()
    for case in cases:
        granted, case.granted = case.granted, {}
        since = now - case.granted_at
        for recipient, request in granted.items():
            if _did_not_leave(case, recipient):
                unused.append(request)
            elif since > min(quota.limit.moment for quota in request.quotas):
                late.append(request)
    if unused or late:
        limiter = limiter_for(conf.current())
        _tell(limiter.refund, unused, "given back")
        _tell(limiter.renew, late, "counted anew")


def _tell(deed: Callable[[Sequence[Request]], None], requests: list[Request], done: str) -> None:
    for start in range(0, len(requests), MOST):
        try:
            deed(requests[start : start + MOST])
        except Exception as error:  # any: a limiter may be anybody's code
            logger.error("notifyguard: a limit could not be %s (%s)", done, type(error).__name__)


def _set_aside(asked: Sequence[tuple[Case, Entry]], board: Board) -> None:
    decisions = dict(_decided(asked, board))
    for case in {id(case): case for case, _ in asked}.values():
        stopped: dict[Decision, list[Entry]] = {}
        for entry in case.passing:
            decision = decisions.get(entry.id)
            if decision is not None and not is_only_reported(decision, entry, case.settings):
                stopped.setdefault(decision, []).append(entry)
        for decision, entries in stopped.items():
            case.set_aside(decision, entries)
            if decision.until is not None:
                case.returned = 1  # it will leave, as one that waits for a commit


def _decided(
    asked: Sequence[tuple[Case, Entry]], board: Board
) -> Iterator[tuple[UUID, Decision | None]]:
    try:
        answers = list(_answers(asked, board))
    except Exception as error:  # any: a limiter may be anybody's code
        _say_broken(error)
        for case, entry in asked:
            critical = case.settings.for_type(entry.type).critical
            yield entry.id, limits.on_error(critical=critical)
        return
    for case, entry, request, refusal in answers:
        if refusal is None:
            case.granted_at = case.granted_at if case.granted else time.monotonic()
            case.granted[entry.recipient] = request
        else:
            yield entry.id, limits.decision(refusal, case.settings, entry.type)


def _answers(
    asked: Sequence[tuple[Case, Entry]], board: Board
) -> Iterator[tuple[Case, Entry, Request, Refusal | None]]:
    limited = [
        (case, entry, request)
        for case, entry in asked
        if (request := limits.request_for(entry, case.settings, board.salt))
    ]
    if limited:
        limiter = limiter_for(limited[0][0].settings)
        answers = limiter.acquire([request for _, _, request in limited])
        for (case, entry, request), refusal in zip(limited, answers, strict=True):
            if refusal is not None and not isinstance(refusal, Refusal):
                raise TypeError("a limiter answers with None or a Refusal")
            yield case, entry, request, refusal


def _say_broken(error: Exception) -> None:
    broken[limits.NAME] += 1
    if broken[limits.NAME] == 1:
        # Its name alone: what a database says may hold addresses.
        logger.error(
            "notifyguard: limits could not be counted (%s); what they limit is held, critical "
            "mail passes",
            type(error).__name__,
        )


def _did_not_leave(case: Case, recipient: str) -> bool:
    outcome = case.outcomes.get(recipient)
    states = [entry.state for entry in case.passing if entry.recipient == recipient]
    state = outcome.state if outcome else next(iter(states), State.FAILED)
    if outcome and outcome.rule == handed_on.RULE:
        return False  # a queue took it: it counts from when it was judged
    return state not in (State.IN_FLIGHT, State.SENT, State.UNCERTAIN)
