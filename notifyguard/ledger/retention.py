"""Retention: what is old and waits for nobody is deleted, in short transactions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from notifyguard import clock, conf, database, heartbeats, switchboard
from notifyguard.conf.limits import UNITS, limits_in
from notifyguard.decision import ENDED, OPEN_STATES, State
from notifyguard.models import (
    Claim,
    Delivery,
    FrozenContent,
    FrozenMessage,
    LimitCounter,
    LimitEntry,
    Release,
    Released,
)

BATCH = 1_000
"""Rows of one transaction."""

_LOST = {
    "state": State.UNCERTAIN,
    "rule": "prune",
    "reason": "Its process never reported back, and no sweeper has looked; it may have left.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of thing that grows old.

    Attributes:
        name: in the plural, for people.
        outcome: what becomes of them.
        rows: those that are too old.
        age: their indexed column that says how old.
        end: ends one batch of them, by their primary keys.
    """

    name: str
    outcome: str
    rows: QuerySet[Any, Any]
    age: str
    end: Callable[[list[Any]], object]

    def count(self) -> int:
        """Count what is too old."""
        return self.rows.count()

    def prune(self) -> Generator[int, None, None]:
        """End what is too old; yield after each batch how many."""
        ended, floor = 0, None
        try:
            while batch := self._batch(floor):
                keys, ages = zip(*batch, strict=True)
                # What stays although it is old is not looked at again and again.
                floor = ages[-1]
                database.retrying(partial(self._end, list(keys)))
                ended += len(keys)
                yield len(keys)
        finally:
            if ended:
                switchboard.record_event(
                    "prune", self.name, actor="notifyguard", after=self.outcome, count=ended
                )

    def _batch(self, floor: Any) -> list[tuple[Any, Any]]:
        rows = self.rows.filter(**{f"{self.age}__gte": floor}) if floor is not None else self.rows
        return list(rows.order_by(self.age).values_list("pk", self.age)[:BATCH])

    def _end(self, keys: list[Any]) -> None:
        with database.short_transaction():
            self.end(keys)


def parts() -> list[Part]:
    """Return what is too old now, in the order in which it must be pruned.

    A delivery that waits for somebody is never too old, nor is its message or
    its key. One that has been in the air for all that time becomes uncertain.
    """
    keep, now = conf.current().retention, clock.now(database.connection())
    deliveries = _older(Delivery, "created_at", now - keep.deliveries)
    settled = deliveries.filter(changed_at__lt=now - keep.deliveries)
    settled = settled.exclude(state__in=OPEN_STATES)
    lost = deliveries.filter(state=State.IN_FLIGHT)
    claims = _older(Claim, "claimed_at", now - keep.claims).exclude(
        Exists(_deliveries().filter(id=OuterRef("delivery"), state__in=OPEN_STATES))
    )
    wanted = Q(state__in=OPEN_STATES) | Q(changed_at__gte=now - keep.bodies)
    bodies = _older(FrozenMessage, "frozen_at", now - keep.bodies).exclude(
        Exists(_deliveries().filter(wanted, dispatch=OuterRef("dispatch")))
    )
    return [
        Part("deliveries in the air", "made uncertain", lost, "created_at", _lose),
        Part("deliveries", "deleted", settled, "created_at", partial(_delete, Delivery)),
        *_release_parts(now - keep.deliveries),
        Part("claims", "deleted", claims, "claimed_at", partial(_delete, Claim)),
        Part("bodies", "deleted", bodies, "frozen_at", partial(_delete_bodies, bodies)),
        *_limit_parts(now),
        Part(
            *("heartbeats", "deleted", heartbeats.forgettable(), "heard_at"),
            end=heartbeats.forget,
        ),
    ]


def _release_parts(cutoff: datetime) -> list[Part]:
    """Releases of which nobody asks any more; what they let go first, a batch at a time."""
    ended = _older(Release, "begun_at", cutoff).filter(state__in=ENDED)
    let_go = _released().filter(release__in=ended)
    empty = ended.exclude(Exists(_released().filter(release=OuterRef("pk"))))
    return [
        Part("released deliveries", "deleted", let_go, "id", partial(_delete, Released)),
        Part("releases", "deleted", empty, "begun_at", partial(_delete, Release)),
    ]


def _released() -> QuerySet[Released, Released]:
    return Released.objects.using(database.alias())


def _limit_parts(now: datetime) -> list[Part]:
    """What no window reaches back to; entries first, so that no counter goes before its log."""
    cutoff = int((now.timestamp() - _longest_window()) * 1_000_000)
    entries = LimitEntry.objects.using(database.alias()).filter(at__lt=cutoff)
    counters = LimitCounter.objects.using(database.alias()).filter(used_at__lt=cutoff)

    def delete_unused(keys: list[Any]) -> None:
        # Asked again in the deletion itself: it may have been used since it was found.
        counters.filter(pk__in=keys).delete()

    return [
        Part("limit entries", "deleted", entries, "at", partial(_delete, LimitEntry)),
        Part("limit counters", "deleted", counters, "used_at", delete_unused),
    ]


def _longest_window() -> float:
    """Seconds, at least a week: another process may have longer limits in its settings."""
    types = conf.current().types.values()
    written = [limit for options in types for limit in limits_in(options)]
    return max([UNITS["week"], *(limit.seconds + limit.moment for limit in written)])


def _older(model: type[Any], column: str, cutoff: datetime) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any] = model.objects.using(database.alias())
    return found.filter(**{f"{column}__lt": cutoff})


def _deliveries() -> QuerySet[Delivery, Delivery]:
    return Delivery.objects.using(database.alias())


def _lose(keys: list[UUID]) -> None:
    now = clock.now(database.connection())
    lost = _deliveries().filter(id__in=keys, state=State.IN_FLIGHT)
    lost.update(changed_at=now, wake_at=clock.never(), **_LOST)


def _delete(model: type[Any], keys: list[Any]) -> None:
    model.objects.using(database.alias()).filter(pk__in=keys).delete()


def _delete_bodies(old: QuerySet[Any, Any], keys: list[UUID]) -> None:
    # Asked again in the deletion itself: a discard may have been undone since it was found.
    old.filter(pk__in=keys).delete()
    kept = FrozenMessage.objects.using(database.alias()).filter(dispatch=OuterRef("dispatch"))
    contents = FrozenContent.objects.using(database.alias()).filter(dispatch__in=keys)
    contents.exclude(Exists(kept)).delete()
