"""The notification types that were found in the mail that came by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.ledger import leases, rows, schedule
from notifyguard.models import Delivery

COUNTED = 10_000
"""Deliveries of a type are counted so far and no further."""


@dataclass(frozen=True, slots=True)
class FoundType:
    """A type of which the ledger holds deliveries.

    Attributes:
        name: the notification type.
        last_seen: when its newest delivery began.
        count: of its deliveries, at most one more than ``COUNTED``.
    """

    name: str
    last_seen: datetime
    count: int

    @property
    def counted(self) -> str:
        """The count for people: exact, or that it is more."""
        return f"{self.count:,}" if self.count <= COUNTED else f"more than {COUNTED:,}"


def names() -> list[str]:
    """Return every type found, sorted."""
    return list(database.last_of_each(Delivery, "type"))


def last_seen() -> dict[str, datetime]:
    """Return every type found, sorted by name, with the time when its newest delivery began."""
    # Identifiers are ordered by time: the newest is the last of its type.
    newest = database.last_of_each(Delivery, "type")
    found = rows.deliveries(database.connection()).only("created_at").in_bulk(newest.values())
    return {name: found[last].created_at for name, last in newest.items() if last in found}


def waiting() -> dict[str, dict[State, int]]:
    """Count what waits for a process or a person, by type and state; not what is scheduled."""
    counted: dict[str, dict[State, int]] = {}
    found = leases.waiting().exclude(schedule.is_planned(clock.now(database.connection())))
    for name, state, count in found.order_by().values_list("type", "state").annotate(Count("id")):
        counted.setdefault(name, {})[State(state)] = count
    return counted


def found() -> list[FoundType]:
    """Return every type found, sorted by name."""
    return [FoundType(name, at, _counted(name)) for name, at in last_seen().items()]


def _counted(name: str) -> int:
    found = rows.deliveries(database.connection()).filter(type=name)
    return found.order_by()[: COUNTED + 1].count()
