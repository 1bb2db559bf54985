"""What waits in the ledger to be delivered, and the sweeper that takes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from operator import attrgetter
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.models import Delivery


def take(limit: int) -> list[Delivery]:
    """Take queued deliveries that are due, for this process alone, until the lease ends.

    Args:
        limit: how many rows at most.

    Returns:
        The rows, whole dispatches as far as the limit reaches, ``claimed``.
    """
    while True:
        taken, put_off = database.retrying(lambda: _take(limit))
        if taken or not put_off:
            return taken


def put_back(
    entries: Sequence[Entry], *, rule: str, reason: str, state: State, takes_key: bool = True
) -> None:
    """Move taken entries on without a hand-over, mostly because the decision changed.

    Args:
        entries: taken, or queued.
        rule: that decided.
        reason: for a person.
        state: that they get.
        takes_key: whether their keys stay taken.
    """
    waiting = rows.deliveries(database.connection()).filter(state__in=rows.WAITING)
    values = {
        "state": state,
        "rule": rule,
        "reason": reason[:500],
        "wake_at": clock.never() if state in (State.HELD, State.UNCERTAIN) else None,
    }
    database.retrying(partial(_change, waiting, entries, values, frees=not takes_key))
    for entry in entries:
        entry.state = state


def give_back(taken: Sequence[Entry]) -> None:
    """Queue taken entries again that nobody has begun to deliver: another sweeper may have them."""
    connection = database.connection()
    claimed = rows.deliveries(connection).filter(state=State.CLAIMED)
    values = {
        "state": State.QUEUED,
        "attempt": F("attempt") + 1,
        "wake_at": clock.now(connection),
    }
    database.retrying(partial(_change, claimed, taken, values))


def drop_done(dispatches: Collection[UUID]) -> None:
    """Delete the messages that are kept for dispatches of which nothing waits any more.

    For those whose outcome was written by ``ledger.mark``. What a process that died has
    left behind is deleted by ``prune``.
    """

    def drop() -> None:
        with database.short_transaction() as connection:
            statements.drop_if_done(connection, *dispatches)

    database.retrying(drop)


def _change(
    found: QuerySet[Delivery, Delivery],
    ours: Sequence[Entry],
    values: Mapping[str, object],
    *,
    frees: bool = False,
) -> None:
    """Change those of our rows that are still as we left them, in one order: no deadlocks."""
    with database.short_transaction() as connection:
        now = clock.now(connection)
        changed = [
            one
            for one in sorted(ours, key=attrgetter("id"))
            if found.filter(id=one.id, attempt=one.attempt).update(changed_at=now, **values)
        ]
        if frees:
            rows.free(connection, changed)


def _put_off(connection: BaseDatabaseWrapper, early: Sequence[Delivery]) -> None:
    """Put off what is scheduled for later: who releases it lets it go, and not before its time."""
    if early:
        found = rows.deliveries(connection).filter(id__in=[row.id for row in early])
        found.update(wake_at=F("due_at"))


def _together(due: Sequence[Delivery]) -> list[Delivery]:
    """Take a message over which a process died alone: it must not end what is beside it."""
    if due and due[0].crashes:
        return [row for row in due if row.dispatch == due[0].dispatch]
    return [row for row in due if not row.crashes]


def _take(limit: int) -> tuple[list[Delivery], int]:
    """Take rows; return them, and how many came too early and were put off."""
    with database.short_transaction() as connection:
        # Locked first so that SQLite begins by writing; elsewhere it costs nothing.
        statements.lock_generation(connection)
        now = clock.now(connection)
        due = (
            rows.deliveries(connection)
            .filter(state=State.QUEUED, wake_at__lte=now)
            .exclude(rule=rows.HANDED_ON)
            .order_by("wake_at")
        )
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        found = list(due[:limit])
        early = [row for row in found if row.due_at is not None and row.due_at > now]
        _put_off(connection, early)
        taken = _together([row for row in found if row not in early])
        rows.deliveries(connection).filter(id__in=[row.id for row in taken]).update(
            state=State.CLAIMED,
            attempt=F("attempt") + 1,
            instance=instance(),
            changed_at=now,
            wake_at=now + timedelta(seconds=conf.current().lease),
        )
    for row in taken:
        row.attempt += 1
        row.state = State.CLAIMED
    return taken, len(early)
