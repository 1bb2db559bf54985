"""The notification types that were found in the mail that came by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from notifyguard import database
from notifyguard.ledger import rows

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


def found() -> list[FoundType]:
    """Return every type found, sorted by name."""
    return [_found(name) for name in names()]


def _found(name: str) -> FoundType:
    deliveries = rows.deliveries(database.connection()).order_by("-type", "-id")
    # Identifiers are ordered by time: the newest is the last of its type in the index.
    # "At most this name", for with "this name" PostgreSQL may walk back along the
    # primary key, past all that came after a type that is not sent any more.
    newest = deliveries.filter(type__lte=name).values_list("created_at", flat=True)[:1].get()
    counted = deliveries.filter(type=name).order_by()[: COUNTED + 1].count()
    return FoundType(name, newest, counted)
