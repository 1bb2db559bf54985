"""The notification types that were found in the mail that came by."""

from __future__ import annotations

from collections.abc import Iterator
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


def names() -> Iterator[str]:
    """Yield every type found, sorted.

    A loose index scan: one jump in the index over (type, id) for each type,
    however many deliveries it has.
    """
    found = rows.deliveries(database.connection()).order_by("type").values_list("type", flat=True)
    name = found.first()
    while name is not None:
        yield name
        name = found.filter(type__gt=name).first()


def last_seen(name: str) -> datetime:
    """Return when the newest delivery of a type that was found began."""
    deliveries = rows.deliveries(database.connection()).order_by("-type", "-id")
    # Identifiers are ordered by time: the newest is the last of its type in the index.
    # "At most this name", for with "this name" PostgreSQL may walk back along the
    # primary key, past all that came after a type that is not sent any more.
    return deliveries.filter(type__lte=name).values_list("created_at", flat=True)[:1].get()


def waiting() -> dict[str, dict[State, int]]:
    """Count what waits for a process or a person, by type and state."""
    counted: dict[str, dict[State, int]] = {}
    grouped = leases.waiting().order_by().values_list("type", "state").annotate(Count("id"))
    for name, state, count in grouped:
        counted.setdefault(name, {})[State(state)] = count
    return counted


def found() -> list[FoundType]:
    """Return every type found, sorted by name."""
    return [_found(name) for name in names()]


def _found(name: str) -> FoundType:
    deliveries = rows.deliveries(database.connection()).filter(type=name)
    return FoundType(name, last_seen(name), deliveries.order_by()[: COUNTED + 1].count())
