"""Counting again from the ledger, when another limiter cannot be trusted to remember.

The ledger has a row for everything that was handed over. What a counter does not
know of is added to its log, so that no window is filled twice; what was let out in
excess meanwhile is said, never hidden.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings as django_settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet
from django.utils import timezone

from notifyguard import conf
from notifyguard.conf import Limit
from notifyguard.decision import State
from notifyguard.ledger.rows import HANDED_ON
from notifyguard.limiters import log
from notifyguard.limiters.base import Quota
from notifyguard.models import Delivery

LEFT = (State.SENT, State.IN_FLIGHT, State.UNCERTAIN)
"""States of a delivery that left, or may have."""

logger = logging.getLogger("notifyguard")

MOST = 10_000
"""Rows that are read again for one counter, the newest."""

SLACK = 10_000_000
"""Microseconds by which the ledger's time, the last change of a row, may be late."""

_REMEMBERED = 1_000
_said: set[tuple[UUID, Limit]] = set()


def complete(connection: BaseDatabaseWrapper, quotas: Iterable[Quota]) -> None:
    """Add to the logs of these counters what the ledger knows and they do not.

    Args:
        connection: in a transaction of the limiter's own.
        quotas: of the deliveries that ask for room.
    """
    by_counter: dict[UUID, list[Quota]] = {}
    for quota in quotas:
        by_counter.setdefault(quota.counter, []).append(quota)
    counters = log.lock(connection, by_counter)
    now = log.now(connection)
    for name, theirs in by_counter.items():
        _complete(connection, name, counters[name], theirs, now)


def _complete(
    connection: BaseDatabaseWrapper, name: UUID, counter: log.Counter, theirs: list[Quota], now: int
) -> None:
    since = now - max(quota.window for quota in theirs)
    known = log.since(connection, name, since)
    counted = {entry.delivery for entry in known}
    missing = [
        log.Entry(name, 0, delivery, at)
        for delivery, at in _left(connection, theirs, since)
        if delivery not in counted
    ]
    merged = sorted([*known, *missing], key=lambda entry: entry.at)
    if missing:
        before = counter.total - len(known)
        entries = [entry._replace(place=before + nth) for nth, entry in enumerate(merged, 1)]
        log.replace(connection, name, before, entries)
    for quota in theirs:
        _say_excess(quota, [entry.at for entry in merged], now)


def _left(
    connection: BaseDatabaseWrapper, theirs: list[Quota], since: int
) -> Iterator[tuple[UUID, int]]:
    """Yield what the ledger says left since then and counts here, and when."""
    options = conf.current()
    for delivery, type, changed_at in _read(connection, _handed_over(theirs[0], since)):
        known = options.for_type(type)
        patterns_here = {limit.pattern for limit in (*known.limits, *known.type_limits)}
        if theirs[0].limit.pattern in patterns_here and known.critical == theirs[0].critical:
            yield delivery, _microseconds(changed_at)


def _handed_over(quota: Quota, since: int) -> QuerySet[Any, Any]:
    """Return the rows that may count, by an index; the newest of a type, as many as matter."""
    at = _moment(since)
    # What a queue has taken was counted then, whenever it sends it.
    left = Q(state__in=LEFT) | Q(state=State.QUEUED, rule=HANDED_ON)
    found = Delivery.objects.filter(left, changed_at__gte=at)
    pattern = quota.limit.pattern
    by_type = (
        {"type": pattern} if "*" not in pattern else {"type__startswith": pattern.split("*")[0]}
    )
    found = found.filter(**by_type)
    if quota.recipient is not None:
        found = found.filter(recipient=quota.recipient)
    else:
        found = found.filter(created_at__gte=at)
    return found.order_by("-id").values_list("id", "type", "changed_at")[:MOST]


def _read(connection: BaseDatabaseWrapper, rows: QuerySet[Any, Any]) -> Iterator[Any]:
    return iter(list(rows.query.get_compiler(connection=connection).results_iter()))


def _say_excess(quota: Quota, left: list[int], now: int) -> None:
    window = now - quota.limit.seconds * 1_000_000
    count = sum(at >= window + SLACK for at in left)
    said = (quota.counter, quota.limit)
    if count <= quota.limit.number or said in _said:
        return
    if len(_said) >= _REMEMBERED:
        _said.clear()
    _said.add(said)
    logger.error(
        "notifyguard: the limit %s of %s was exceeded: %d left within its window, while the "
        "limiter did not know what had left before (counter %s)",
        *(quota.limit, quota.limit.pattern, count, quota.counter),
    )


def _moment(microseconds: int) -> datetime:
    at = datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)
    if django_settings.USE_TZ:
        return at
    return timezone.make_naive(at, timezone.get_default_timezone())


def _microseconds(at: datetime) -> int:
    aware = at if timezone.is_aware(at) else timezone.make_aware(at)
    return int(aware.timestamp() * 1_000_000)
