"""What waits in the ledger to be delivered: started on commit, or taken by the sweeper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import rows, statements, takeover
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.takeover import StaleBoard
from notifyguard.models import Delivery


def start(entries: Sequence[Entry], generation: int) -> list[Entry]:
    """Claim and mark queued entries in one commit: their message leaves now.

    An entry whose key another delivery holds becomes ``duplicate``.

    Args:
        entries: of one dispatch, ``queued``, or ``claimed`` by ``take``.
        generation: of the board their decision was made under.

    Returns:
        The entries that this process may hand over.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    return database.retrying(lambda: _start(entries, generation))


def take(limit: int) -> list[Delivery]:
    """Take queued deliveries that are due, for this process alone, until the lease ends.

    Args:
        limit: how many rows at most.

    Returns:
        The rows, whole dispatches as far as the limit reaches, ``claimed``.
    """
    return database.retrying(lambda: _take(limit))


def put_back(entries: Sequence[Entry], *, rule: str, reason: str, state: State) -> None:
    """Move taken entries to ``held`` or ``discarded``, because the decision changed."""
    with database.short_transaction() as connection:
        now = clock.now(connection)
        for entry in entries:
            rows.deliveries(connection).filter(
                id=entry.id, attempt=entry.attempt, state__in=rows.WAITING
            ).update(
                state=state,
                rule=rule,
                reason=reason[:500],
                changed_at=now,
                wake_at=clock.never() if state is State.HELD else None,
            )


def give_back(taken: Sequence[Delivery]) -> None:
    """Queue taken rows again that nobody has begun to deliver: another sweeper may have them."""
    with database.short_transaction() as connection:
        now = clock.now(connection)
        for row in taken:
            rows.deliveries(connection).filter(
                id=row.id, attempt=row.attempt, state=State.CLAIMED
            ).update(state=State.QUEUED, attempt=row.attempt + 1, changed_at=now, wake_at=now)


def _start(entries: Sequence[Entry], generation: int) -> list[Entry]:
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != generation:
            raise StaleBoard
        now = clock.now(connection)
        entries = _still_waiting(connection, entries)
        keyed = [entry for entry in entries if entry.key is not None]
        holders = statements.claim(connection, keyed, now) if keyed else {}
        won: list[Entry] = []
        lost: list[Entry] = []
        for entry in entries:
            ours = entry.key is None or holders[entry.key] == entry.id
            (won if ours or takeover.evict(connection, entry) else lost).append(entry)
        for entry in lost:
            _move(connection, entry, State.DUPLICATE, now, wake_at=None)
        lease_end = now + timedelta(seconds=conf.current().lease)
        started = [e for e in won if _move(connection, e, State.IN_FLIGHT, now, wake_at=lease_end)]
        if lost:
            statements.drop_if_done(connection, lost[0].dispatch)
    for entry in started:
        entry.attempt += 1
        entry.state = State.IN_FLIGHT
    for entry in lost:
        entry.state = State.DUPLICATE
    return started


def _still_waiting(connection: BaseDatabaseWrapper, entries: Sequence[Entry]) -> list[Entry]:
    """Leave out and lock out what another process has ended: its key is not ours to take."""
    found = rows.deliveries(connection).filter(
        id__in=[entry.id for entry in entries], state__in=rows.WAITING
    )
    attempts = dict(found.select_for_update().values_list("id", "attempt"))
    return [entry for entry in entries if attempts.get(entry.id) == entry.attempt]


def _move(
    connection: BaseDatabaseWrapper,
    entry: Entry,
    state: State,
    now: datetime,
    *,
    wake_at: datetime | None,
) -> bool:
    found = rows.deliveries(connection).filter(
        id=entry.id, attempt=entry.attempt, state__in=rows.WAITING
    )
    return bool(
        found.update(
            state=state,
            attempt=entry.attempt + 1,
            instance=instance(),
            message_id=entry.message_id,
            changed_at=now,
            wake_at=wake_at,
        )
    )


def _take(limit: int) -> list[Delivery]:
    with database.short_transaction() as connection:
        # Locked first so that SQLite begins by writing; elsewhere it costs nothing.
        statements.lock_generation(connection)
        now = clock.now(connection)
        due = (
            rows.deliveries(connection)
            .filter(state=State.QUEUED, wake_at__lte=now)
            .order_by("wake_at")
        )
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        taken = list(due[:limit])
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
    return taken
