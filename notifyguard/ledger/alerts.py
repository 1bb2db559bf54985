"""What is held that nobody was told of, and whose turn it is to tell.

The ledger's own rows say what is held, so nothing is counted while mail is judged
and nothing is forgotten by a process that dies. A row for each type and rule says
when somebody was last told; one more row says when anybody was told anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import IntegrityError
from django.db.models import Count, Min, Q, QuerySet

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.ledger import leases, rows
from notifyguard.models import Alert, Delivery

TURN = timedelta(minutes=1)
"""At most one alert in this time, of all processes together: no loop of alerts can be faster."""

WINDOW = timedelta(hours=1)
"""After one alert on a type and rule the next comes no sooner."""

REMINDED = timedelta(days=1)
"""The same for what a person has stopped, who knows; so that it is not forgotten."""

SET_BY_PERSON = ("switch", "allow_recipients", "undone")

RETRIED = timedelta(minutes=10)
"""After an alert that is itself stopped the next is tried no sooner: each is kept."""

ALERTS = "notifyguard.alerts"
"""The type of the alerts themselves. That they are held is no news: it would never end."""

_FORGOTTEN = timedelta(days=30)
_TURN = {"type": "", "rule": ""}

Pair = tuple[str, str]


class Untold(NamedTuple):
    """Deliveries of one type that one rule holds, of which somebody is to be told.

    Attributes:
        type: the notification type.
        rule: the rule.
        waiting: how many wait now.
        fresh: how many of these were held since the last alert.
        oldest: when the first of those that wait was held.
    """

    type: str
    rule: str
    waiting: int
    fresh: int
    oldest: datetime


def take_turn() -> bool:
    """Tell whether this process may tell now; for a minute no other may.

    One conditional UPDATE decides, so of eight processes that hold at once one tells.
    """
    return database.retrying(partial(_take, _TURN, TURN))


def take_window(type: str, rule: str) -> bool:
    """Tell whether this process may tell of a type and rule; for an hour no other may."""
    return database.retrying(partial(_take, {"type": type, "rule": rule}, WINDOW))


def untold(pairs: Collection[Pair] | None = None) -> list[Untold]:
    """Return what is held and of which nobody was told in its window.

    Args:
        pairs: only of these types and rules; ``None`` for all that is held.
    """
    now = clock.now(database.connection())
    told_at = _told_at(pairs)
    found = []
    for type, rule in _held_pairs() if pairs is None else pairs:
        last = told_at.get((type, rule))
        if type != ALERTS and (last is None or last <= now - _window(rule)):
            found.append(_count(type, rule, last))
    return [group for group in found if group.fresh]


def told(groups: Sequence[Untold], counted_at: datetime) -> None:
    """Write down that somebody was told of these, and what they did not count is news."""
    database.retrying(partial(_write_down, groups, counted_at))


def is_stopped(since: datetime) -> bool:
    """Tell whether an alert was mailed since then, and every one is held or discarded.

    Args:
        since: by the database's clock, before it was mailed.
    """
    mailed = rows.deliveries(database.connection()).filter(rows.begun_since(since), type=ALERTS)
    states = set(mailed.order_by().values_list("state", flat=True))
    return bool(states) and states <= {State.HELD, State.DISCARDED}


def put_off() -> None:
    """Have nobody tell anything for ``RETRIED``, since alerts are stopped now."""

    def write() -> None:
        with database.short_transaction() as connection:
            _alerts().filter(**_TURN).update(told_at=clock.now(connection) + RETRIED - TURN)

    database.retrying(write)


def _take(alert: Mapping[str, str], window: timedelta) -> bool:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        found = _alerts().filter(**alert)
        if found.filter(told_at__lte=now - window).update(told_at=now):
            return True
        return not found.exists() and _take_first(alert, now)


def _write_down(groups: Sequence[Untold], counted_at: datetime) -> None:
    values = {"told_at": counted_at}
    with database.short_transaction():
        for group in groups:
            _alerts().update_or_create(type=group.type, rule=group.rule, defaults=values)
        _alerts().filter(told_at__lt=counted_at - _FORGOTTEN).delete()


def _take_first(alert: Mapping[str, str], now: datetime) -> bool:
    try:
        with database.short_transaction():
            _alerts().create(**alert, told_at=now)
    except IntegrityError:
        return False
    return True


def _told_at(pairs: Collection[Pair] | None) -> dict[Pair, datetime]:
    found = _alerts() if pairs is None else _alerts().filter(_among(pairs))
    return {(alert.type, alert.rule): alert.told_at for alert in found}


def _held_pairs() -> list[Pair]:
    return list(_held().order_by("type", "rule").values_list("type", "rule").distinct())


def _count(type: str, rule: str, last: datetime | None) -> Untold:
    since = Q() if last is None else Q(changed_at__gt=last)
    counted = (
        _held()
        .filter(type=type, rule=rule)
        .aggregate(
            waiting=Count("id"),
            fresh=Count("id", filter=since) if since else Count("id"),
            oldest=Min("changed_at"),
        )
    )
    return Untold(type, rule, **counted)


def _held() -> QuerySet[Delivery, Delivery]:
    # Out of what waits, which has an index; the state has none.
    return leases.waiting().order_by().filter(state=State.HELD)


def _among(pairs: Collection[Pair]) -> Q:
    among = Q(pk__in=[])
    for type, rule in pairs:
        among |= Q(type=type, rule=rule)
    return among


def _window(rule: str) -> timedelta:
    return REMINDED if rule in SET_BY_PERSON else WINDOW


def _alerts() -> QuerySet[Alert, Alert]:
    return Alert.objects.using(database.alias())
