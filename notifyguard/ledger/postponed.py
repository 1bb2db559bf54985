"""What is queued for a time to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.ledger import rows
from notifyguard.ledger.entry import Entry


def postpone(entries: Sequence[Entry], until: datetime, *, rule: str, reason: str) -> None:
    """Queue taken or queued entries again, for a sweeper after that time.

    Args:
        entries: of which nothing was handed over.
        until: when they wake.
        rule: that decided.
        reason: in words.
    """
    with database.short_transaction() as connection:
        now = clock.now(connection)
        for entry in entries:
            rows.deliveries(connection).filter(
                id=entry.id, attempt=entry.attempt, state__in=rows.WAITING
            ).update(
                state=State.QUEUED,
                attempt=entry.attempt + 1,
                rule=rule,
                reason=reason[:500],
                changed_at=now,
                wake_at=until,
            )
