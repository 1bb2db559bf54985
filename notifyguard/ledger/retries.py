"""What failed for now and is tried again, what may not have left and is sent again,
and what is given up."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from notifyguard import clock, conf, database, hold
from notifyguard.conf import Retries
from notifyguard.decision import State
from notifyguard.ledger import rows
from notifyguard.ledger.entry import Entry
from notifyguard.models import Delivery
from notifyguard.signals import given_up

logger = logging.getLogger("notifyguard")

RULE = "retries"
RESEND = "resend"
"""The rule on what is sent again because nobody knows whether it left."""

RESENDS = Retries(attempts=3)
"""How often that is done where a type's ``retries`` says nothing."""

# Late evidence counts: what failed although its lease had run out has failed.
_UNDECIDED = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT, State.UNCERTAIN)


def next_try(policy: Retries, retries: int) -> float:
    """Return in how many seconds to try again: doubled each time, and not all at once.

    Args:
        policy: of the type.
        retries: how often it was tried again already.
    """
    longest = min(policy.max, policy.first << min(retries, 30))
    # Half of it at random, so that what failed together does not come back together.
    return longest * random.uniform(0.5, 1)


def requeue(entries: Sequence[Entry], frozen: hold.Frozen | None = None) -> list[Entry]:
    """Queue rows again whose hand-over has failed; their keys stay taken.

    Args:
        entries: of one dispatch, with the time of the next try, rule and reason.
        frozen: their message, if it is not kept yet.

    Returns:
        Those that were queued. One that is missing was ended by somebody else.
    """
    return database.retrying(partial(_requeue, entries, frozen))


def resend_at(type: str, rule: str, resent: int) -> datetime:
    """Return when an uncertain delivery whose message is kept is sent again.

    Args:
        type: its notification type.
        rule: that made it uncertain. What was refused when it was sent again is not
            asked for once more.
        resent: how often it was tried again already.

    Returns:
        The time; ``clock.never()`` for what waits for a person.
    """
    options = conf.current().for_type(type)
    policy = options.retries or RESENDS
    if options.on_uncertain != "resend" or rule == RESEND or resent >= policy.attempts:
        return clock.never()
    return clock.later(database.connection(), next_try(policy, resent))


def resend() -> int:
    """Queue again what is uncertain, kept and due to be sent again; return how many."""
    now = clock.now(database.connection())
    found = rows.deliveries(database.connection()).filter(state=State.UNCERTAIN).order_by()
    due = found.filter(rows.due(now)).iterator()
    return sum(database.retrying(partial(_resend_one, row)) for row in due)


def _resend_one(row: Delivery) -> int:
    connection = database.connection()
    same = rows.deliveries(connection).filter(id=row.id, attempt=row.attempt, state=State.UNCERTAIN)
    options = conf.current().for_type(row.type)
    if options.on_uncertain != "resend":
        same.update(wake_at=clock.never())  # somebody has changed the settings meanwhile
        return 0
    now = clock.now(connection)
    count = f"{row.retries + 1} of {(options.retries or RESENDS).attempts}"
    reason = f"It may have left; sent again ({count}): {row.reason}"
    queued = same.update(
        state=State.QUEUED,
        attempt=row.attempt + 1,
        retries=row.retries + 1,
        doubtful=True,
        rule=RESEND,
        reason=reason[:500],
        changed_at=now,
        wake_at=now,
    )
    if queued:
        logger.warning("notifyguard: delivery %s is sent again: it may have left", row.id)
    return queued


def make_doubtful(entry: Entry) -> None:
    """Write on a failed entry that it is uncertain still: an earlier try may have left."""
    entry.state, entry.rule = State.UNCERTAIN, RESEND
    entry.reason = f"An earlier try may have left; this one failed: {entry.reason}"[:500]


def say_given_up(deliveries: Iterable[Delivery | Entry], rule: str) -> None:
    """Alarm: nobody else will hear that these have failed."""
    for each in deliveries:
        logger.critical(
            "notifyguard: delivery %s of type %s is given up (%s)", each.id, each.type, rule
        )
        given_up.send_robust(Delivery, delivery=each.id, type=each.type, rule=rule)


def _requeue(entries: Sequence[Entry], frozen: hold.Frozen | None) -> list[Entry]:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        queued = [
            entry
            for entry in entries
            if rows.deliveries(connection)
            .filter(id=entry.id, attempt=entry.attempt, state__in=_UNDECIDED)
            .update(
                state=State.QUEUED,
                attempt=entry.attempt + 1,
                retries=entry.retries,
                fingerprint=entry.fingerprint,
                supersedes=entry.supersedes,
                rule=entry.rule,
                reason=entry.reason,
                changed_at=now,
                wake_at=entry.wakes_at,
            )
        ]
        if queued and frozen is not None:
            hold.keep_once(queued[0].dispatch, frozen, now)
    return queued
