"""Enough is enough: at most so many to one recipient, or of one type, within a window.

The only rule that consumes: it is asked last, for what every other rule lets pass
and whose key is free, and what does not leave after all is given back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid5

from notifyguard import clock, database, ledger
from notifyguard.conf import Limit, Settings
from notifyguard.decision import Decision, Sending
from notifyguard.ledger import Entry
from notifyguard.limiters import Quota, Refusal, Request

NAME = "limit"


def request_for(entry: Entry, settings: Settings, salt: str) -> Request | None:
    """Return what a delivery has to fit into, or ``None`` if nothing limits it.

    Args:
        entry: that is about to leave.
        settings: the present settings.
        salt: the ledger's own; ``""`` where there is no ledger to count by.

    Raises:
        InvalidSettings: the namespace that enters the counters cannot be told.
    """
    options = settings.for_type(entry.type)
    if not salt or not (options.limits or options.type_limits):
        return None
    # What is sent again because it may have left counts again, beside its first time.
    counted = uuid5(entry.id, str(entry.retries)) if entry.doubtful else entry.id
    return Request(counted, tuple(_quotas(entry, settings, salt)))


def decision(refusal: Refusal, settings: Settings, type: str) -> Decision:
    """Return what ``on_limit`` of the type says about a delivery for which there is no room."""
    limit = refusal.quota.limit
    whom = "to all recipients together" if refusal.quota.recipient is None else "to this recipient"
    return Decision(
        Sending.DISCARD if settings.for_type(type).on_limit == "discard" else Sending.HOLD,
        rule=NAME,
        reason=f"{limit.number} of {limit.pattern} left {whom} within the limit of {limit}.",
        until=_frees(refusal) if settings.for_type(type).on_limit == "delay" else None,
    )


def on_error(*, critical: bool) -> Decision | None:
    """Return what is decided when nobody can count: what is critical passes, the rest is held."""
    if critical:
        return None
    return Decision(Sending.HOLD, NAME, "Its limit could not be counted; see the log.")


def _quotas(entry: Entry, settings: Settings, salt: str) -> Iterator[Quota]:
    namespace = settings.current_namespace()
    options = settings.for_type(entry.type)
    # What others sent must not use up the room of what a person waits for.
    who = "critical" if options.critical else ""

    def counter(limit: Limit, *of: str) -> UUID:
        return ledger.key_of(salt, "limit", namespace, limit.pattern, who, *of)

    for limit in options.limits:
        # The length of the list tells the two kinds of counter apart.
        named = counter(limit, entry.recipient)
        yield Quota(named, limit, entry.recipient, options.critical)
    for limit in options.type_limits:
        yield Quota(counter(limit), limit, None, options.critical)


def _frees(refusal: Refusal) -> datetime:
    return clock.later(database.connection(), refusal.seconds)
