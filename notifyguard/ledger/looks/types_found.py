"""The notification types that were found in the mail that came by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from notifyguard import database
from notifyguard.decision import State
from notifyguard.ledger import leases, rows

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
    return list(last_seen())


def last_seen() -> dict[str, datetime]:
    """Return every type found, sorted by name, with the time when its newest delivery began.

    A loose index scan: one jump in the index over (type, id) for each type, however many
    deliveries it has. Backwards, since identifiers are ordered by time: the newest is
    the last of its type.
    """
    deliveries = rows.deliveries(database.connection()).order_by("-type", "-id")
    newest = deliveries.values_list("type", "created_at")
    seen: list[tuple[str, datetime]] = []
    row = newest.first()
    while row is not None:
        seen.append(row)
        row = newest.filter(type__lt=row[0]).first()
    return dict(reversed(seen))


def waiting() -> dict[str, dict[State, int]]:
    """Count what waits for a process or a person, by type and state."""
    counted: dict[str, dict[State, int]] = {}
    grouped = leases.waiting().order_by().values_list("type", "state").annotate(Count("id"))
    for name, state, count in grouped:
        counted.setdefault(name, {})[State(state)] = count
    return counted


def found() -> list[FoundType]:
    """Return every type found, sorted by name."""
    return [FoundType(name, at, _counted(name)) for name, at in last_seen().items()]


def _counted(name: str) -> int:
    found = rows.deliveries(database.connection()).filter(type=name)
    return found.order_by()[: COUNTED + 1].count()
