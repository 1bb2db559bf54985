"""A message that comes too late: yesterday's news, last night's code, a queue that was repaired."""

from __future__ import annotations

from datetime import timedelta

from notifyguard import clock, database
from notifyguard.decision import Decision, Sending, State
from notifyguard.ledger.looks.story import moment
from notifyguard.rules.base import Candidate

NAME = "stale"


def stale(candidate: Candidate) -> Decision | None:
    """Stop what is older than its ``max_age``, counted from when it was due.

    A message that leaves when it is sent is never stale; one that was kept, or
    that a late task sends, may be.
    """
    options = candidate.settings.for_type(candidate.type)
    max_age = candidate.dispatch.notification.max_age or options.max_age
    if candidate.due_at is None or max_age is None:
        return None
    if clock.now(database.connection()) - candidate.due_at <= max_age:
        return None
    due = moment(candidate.due_at)
    return Decision(
        Sending.DISCARD if options.on_stale == "expire" else Sending.HOLD,
        rule=NAME,
        reason=f"It was due at {due} and may leave no later than {_in_words(max_age)} after.",
        ends_as=State.EXPIRED,
    )


def _in_words(age: timedelta) -> str:
    seconds = round(age.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        # "24 hours" and not "1 day": so it is written in settings.
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds // length} {unit}s"
    return f"{age.total_seconds():g} seconds"
