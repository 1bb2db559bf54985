"""Leases that ran out, and how far the sweeper has looked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.ledger import handed_on, retries, rows, statements
from notifyguard.models import Claim, Delivery, Sweep

EXAMINED_AGAIN = timedelta(minutes=10)
"""How far each sweep goes back behind the last, for rows that were committed late."""

MOST_CRASHES = 3
"""Processes that may die over a message that they have taken and not handed over."""

_LOST = {
    "state": State.UNCERTAIN,
    "rule": "lease",
    "reason": "The process that was handing it over did not report back; it may have left.",
}
_CRASHED = {
    "state": State.FAILED,
    "rule": "crashes",
    "reason": "Three processes that had taken it died before handing it over; it was not sent.",
}
_CRASHED_AGAIN = {
    "state": State.UNCERTAIN,
    "rule": "crashes",
    "reason": "It may have left; three processes died that were to send it again.",
}
_ABANDONED = {
    "state": State.FAILED,
    "rule": "lease",
    "reason": "The process that claimed it died before handing it over; it was not sent.",
}


def expire_leases() -> dict[State, int]:
    """End the leases that ran out; return how many rows went to which state.

    A claimed row with its message kept is queued again, one without becomes
    ``failed`` and frees its key; so does one that three processes died over, unless an
    earlier hand-over may have left. A marked
    row becomes ``uncertain`` and is never sent again by itself, unless its type says
    so and its message was kept before the mark: a fence cannot fence SMTP.
    """
    connection = database.connection()
    clock.compare(connection)
    now = clock.now(connection)
    marked = _expire(_overdue(State.IN_FLIGHT, now), _LOST)
    marked += _give_up_crashed(_CRASHED_AGAIN, now, doubtful=True)
    abandoned = _expire(_overdue(State.CLAIMED, now), _ABANDONED)
    abandoned += _give_up_crashed(_CRASHED, now, doubtful=False)
    requeue = partial(
        _woken(State.CLAIMED, now).update,
        state=State.QUEUED,
        wake_at=now,
        changed_at=now,
        attempt=F("attempt") + 1,
        crashes=F("crashes") + 1,
    )
    requeued = database.retrying(requeue)
    unreturned = handed_on.end_patience()
    _examined(connection, now)
    return {State.UNCERTAIN: marked + unreturned, State.FAILED: abandoned, State.QUEUED: requeued}


def last_sweep() -> Sweep | None:
    """Return when the sweeper last ran, if it ever did."""
    return Sweep.objects.using(database.alias()).filter(pk=Sweep.ROW).first()


def waiting() -> QuerySet[Delivery, Delivery]:
    """Return the deliveries that wait for a process or a person, the oldest first."""
    return rows.deliveries(database.connection()).filter(rows.waiting()).order_by("id")


def in_the_air(meant: Callable[[str], bool] = lambda type: True) -> int:
    """Count the deliveries that are marked and not confirmed, and whose lease runs.

    Args:
        meant: says whether a notification type counts; without it all do.
    """
    connection = database.connection()
    now = clock.now(connection)
    found = rows.deliveries(connection).filter(state=State.IN_FLIGHT).order_by()
    lease = timedelta(seconds=conf.current().lease)
    # By the mark, since a batch marks long after it claimed; a day back, for the index.
    began = rows.begun_since(now - lease - timedelta(days=1))
    hot = found.filter(began, wake_at__isnull=True, changed_at__gte=now - lease)
    # Two questions: one with "or" between them is answered by reading everything.
    both = (hot, found.filter(rows.asleep(now)))
    return sum(meant(type) for found in both for type in found.values_list("type", flat=True))


def _overdue(state: State, now: datetime) -> Iterator[Delivery]:
    """Rows of the hot path are found by their age, all others by when they wake."""
    found = rows.deliveries(database.connection()).filter(state=state).order_by()
    lease = timedelta(seconds=conf.current().lease)
    swept = last_sweep()
    # By the mark too: a batch marks its last message up to a lease after it claimed it.
    hot = Q(wake_at__isnull=True, created_at__lt=now - lease, changed_at__lt=now - lease)
    if swept is not None:
        hot &= Q(created_at__gte=swept.examined_until - lease - EXAMINED_AGAIN)
    yield from found.filter(hot).iterator()
    if state is State.IN_FLIGHT:
        yield from found.filter(rows.due(now)).iterator()


def _woken(state: State, now: datetime) -> QuerySet[Delivery, Delivery]:
    return rows.deliveries(database.connection()).filter(rows.due(now), state=state).order_by()


def _give_up_crashed(outcome: Mapping[str, object], now: datetime, *, doubtful: bool) -> int:
    crashed = _woken(State.CLAIMED, now).filter(crashes__gte=MOST_CRASHES - 1, doubtful=doubtful)
    given_up = [row for row in crashed if database.retrying(partial(_expire_one, row, outcome))]
    retries.say_given_up(given_up, "crashes")
    return len(given_up)


def _expire(overdue: Iterable[Delivery], outcome: Mapping[str, object]) -> int:
    expired = 0
    for row in overdue:
        expired += database.retrying(partial(_expire_one, row, outcome))
    return expired


def _expire_one(row: Delivery, outcome: Mapping[str, object]) -> int:
    with database.short_transaction() as connection:
        still = rows.deliveries(connection).filter(id=row.id, attempt=row.attempt, state=row.state)
        wake_at = _wakes(row, outcome) if outcome["state"] is State.UNCERTAIN else None
        changed = still.update(changed_at=clock.now(connection), wake_at=wake_at, **outcome)
        if changed and outcome["state"] is State.FAILED and row.key is not None:
            Claim.objects.using(connection.alias).filter(key=row.key, delivery=row.id).delete()
        if changed and outcome is _CRASHED:
            statements.drop_if_done(connection, row.dispatch)
        return changed


def _wakes(lost: Delivery, outcome: Mapping[str, object]) -> datetime:
    is_kept = outcome is _LOST and lost.wake_at is not None
    return retries.resend_at(lost.type, "lease", lost.retries) if is_kept else clock.never()


def _examined(connection: BaseDatabaseWrapper, now: datetime) -> None:
    until = now - timedelta(seconds=conf.current().lease)
    swept = Sweep.objects.using(connection.alias)
    values = {"ran_at": now, "examined_until": until}
    # Retried: another sweeper may write the same row at this moment.
    database.retrying(partial(swept.update_or_create, pk=Sweep.ROW, defaults=values))
