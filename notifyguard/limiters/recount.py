"""Counting again from the ledger, when another limiter cannot be trusted to remember.

The ledger has a row for everything that was handed over. What a counter does not
know of is added to its log, so that no window is filled twice; what was let out in
excess meanwhile is said, never hidden.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings as django_settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Q, QuerySet
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

LONG = 1_000
"""Entries in a window from which on it is not read again for each mail."""

WHOLE = 10_000_000
"""Microseconds after which a long window is read again as a whole: rows that were written in a
caller's transaction appear with its commit, and are older by then."""

SLACK = 10_000_000
"""Microseconds by which the ledger's time, the last change of a row, may be late."""

_REMEMBERED = 1_000
_said: set[tuple[UUID, Limit]] = set()


class Mark(NamedTuple):
    """How far a counter is complete, in microseconds by the database's clock.

    Attributes:
        until: what left before then is in its log.
        whole: when its whole window was read.
        window: how long that was.
    """

    until: int
    whole: int
    window: int


class Recount:
    """Counts again, and remembers how far, so that a long window is not read for each mail."""

    def __init__(self) -> None:
        self._marks: dict[UUID, Mark] = {}

    def complete(
        self, connection: BaseDatabaseWrapper, quotas: Iterable[Quota]
    ) -> dict[UUID, Mark]:
        """Add to the logs of these counters what the ledger knows and they do not.

        Args:
            connection: in a transaction of the limiter's own.
            quotas: of the deliveries that ask for room.

        Returns:
            What is to be remembered once the transaction is committed.
        """
        by_counter: dict[UUID, list[Quota]] = {}
        for quota in quotas:
            by_counter.setdefault(quota.counter, []).append(quota)
        counters = log.lock(connection, by_counter)
        now, marks = log.now(connection), {}
        for name, theirs in by_counter.items():
            mark = self._marked(name, theirs, now)
            _complete(connection, name, counters[name], theirs, mark.until)
            if counters[name].total >= LONG:
                marks[name] = mark._replace(until=now)
        _say_excess(connection, by_counter, counters, now)
        return marks

    def remember(self, marks: Mapping[UUID, Mark]) -> None:
        """Take as done what was committed."""
        if len(self._marks) + len(marks) > _REMEMBERED:
            self._marks.clear()
        self._marks.update(marks)

    def _marked(self, name: UUID, theirs: list[Quota], now: int) -> Mark:
        """Return from when on a counter has to be read, as the mark's ``until``."""
        window = max(quota.window for quota in theirs)
        known = self._marks.get(name)
        if known and known.until <= now < known.whole + WHOLE and window <= known.window:
            return known._replace(until=known.until - SLACK)
        return Mark(now - window, now, window)


def _complete(
    connection: BaseDatabaseWrapper,
    name: UUID,
    counter: log.Counter,
    theirs: Collection[Quota],
    since: int,
) -> None:
    """Add to a locked counter what is missing since then."""
    known = log.since(connection, name, since)
    counted = {entry.delivery for entry in known}
    missing = [
        log.Entry(name, 0, delivery, at)
        for delivery, at in _left(connection, theirs, since)
        if delivery not in counted
    ]
    if missing:
        before = counter.total - len(known)
        merged = sorted([*known, *missing], key=lambda entry: entry.at)
        entries = [entry._replace(place=before + nth) for nth, entry in enumerate(merged, 1)]
        log.replace(connection, name, before, entries)
        counter.total = before + len(entries)


def _left(
    connection: BaseDatabaseWrapper, theirs: Collection[Quota], since: int
) -> Iterator[tuple[UUID, int]]:
    """Yield what the ledger says left since then and counts here, and when.

    The newest, as many as fill the largest limit: more can make it no fuller.
    """
    quota, *_ = theirs
    most = max(each.limit.number for each in theirs) + LONG
    counting = (
        (delivery, _microseconds(changed_at))
        for delivery, type, changed_at in _newest(connection, _handed_over(quota, since), most)
        if _counts(quota, type)
    )
    yield from islice(counting, most)


def _newest(
    connection: BaseDatabaseWrapper, found: QuerySet[Any, Any], size: int
) -> Iterator[tuple[UUID, str, datetime]]:
    """Yield rows, the newest first, read so many at a time: some are of types that do not count."""
    ordered = found.order_by("-id").values_list("id", "type", "changed_at")
    page = _read(connection, ordered[:size])
    while page:
        yield from page
        further = ordered.filter(id__lt=page[-1][0])
        page = _read(connection, further[:size]) if len(page) == size else []


def _counts(quota: Quota, type: str) -> bool:
    """Tell whether what has this type counts there by the settings as they are."""
    known = conf.current().for_type(type)
    patterns = {limit.pattern for limit in (*known.limits, *known.type_limits)}
    return quota.limit.pattern in patterns and known.critical == quota.critical


def _handed_over(quota: Quota, since: int) -> QuerySet[Any, Any]:
    """Return the rows that may count, by an index."""
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
    return found


def _read(connection: BaseDatabaseWrapper, rows: QuerySet[Any, Any]) -> list[Any]:
    return list(rows.query.get_compiler(connection=connection).results_iter())


def _say_excess(
    connection: BaseDatabaseWrapper,
    by_counter: Mapping[UUID, Collection[Quota]],
    counters: Mapping[UUID, log.Counter],
    now: int,
) -> None:
    """Say, once for each limit, that more left within its window than it allows.

    One entry of each tells: the last that must have left the window by now.
    """
    places = {
        quota: counters[name].total - quota.limit.number
        for name, theirs in by_counter.items()
        for quota in theirs
    }
    asked = [log.Range(quota.counter, at, at) for quota, at in places.items() if at > 0]
    times = log.times(connection, asked)
    for quota, place in places.items():
        since = now - quota.limit.seconds * 1_000_000 + SLACK
        said = (quota.counter, quota.limit)
        if times.get(quota.counter, {}).get(place, 0) < since or said in _said:
            continue
        if len(_said) >= _REMEMBERED:
            _said.clear()
        _said.add(said)
        logger.error(
            "notifyguard: the limit %s of %s was exceeded: %d left within its window, while the "
            "limiter did not know what had left before (counter %s)",
            *(quota.limit, quota.limit.pattern, _left_since(connection, quota, since)),
            quota.counter,
        )


def _left_since(connection: BaseDatabaseWrapper, quota: Quota, since: int) -> int:
    """Count what counts there, in the database: of an excess there may be any number."""
    by_type = _handed_over(quota, since).order_by().values_list("type").annotate(Count("id"))
    return sum(count for type, count in _read(connection, by_type) if _counts(quota, type))


def _moment(microseconds: int) -> datetime:
    at = datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)
    if django_settings.USE_TZ:
        return at
    return timezone.make_naive(at, timezone.get_default_timezone())


def _microseconds(at: datetime) -> int:
    aware = at if timezone.is_aware(at) else timezone.make_aware(at)
    return int(aware.timestamp() * 1_000_000)
