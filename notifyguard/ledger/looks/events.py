"""What people did: reading the record, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifyguard import database
from notifyguard.models import Event

PAGE = 50
"""Events of one answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are meant; ``""`` for any.

    Attributes:
        action: what was done, as it is on record: ``switch``, ``release``.
        actor: who, by name.
        subject: what it was done to: a pattern, the id of a delivery.
    """

    action: str = ""
    actor: str = ""
    subject: str = ""


def look_up(wanted: Wanted, behind: int | None = None, most: int = PAGE) -> Sequence[Event]:
    """Return the events that are meant, the newest first.

    Args:
        wanted: which.
        behind: only those older than the event with this number.
        most: at most so many.
    """
    found = Event.objects.using(database.alias()).order_by("-id")
    for name in ("action", "actor", "subject"):
        if value := getattr(wanted, name):
            found = found.filter(**{name: value})
    if behind is not None:
        found = found.filter(id__lt=behind)
    return list(found[:most])


def known(name: str) -> list[str]:
    """Return the values on record of ``action`` or ``actor``, sorted.

    Args:
        name: the column.
    """
    return list(database.last_of_each(Event, name))
