"""Finding deliveries by what has an index, whatever the size of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from difflib import get_close_matches
from uuid import UUID

from notifyguard import database, patterns
from notifyguard.ledger import rows
from notifyguard.models import Claim, Delivery

PAGE = 200
"""Rows that are read at a time."""

SKEW = timedelta(days=1)
"""Identifiers are ordered by the time of the hosts that made them, whose clocks differ."""

NEIGHBOURS = 1_000
"""Rows that are looked at for addresses that are like one."""

CLOSE = 0.8
"""How alike an address must be, from 0 to 1: most end in the same domain."""


def is_known(recipient: str) -> bool:
    """Tell whether the ledger has a delivery to this very address."""
    found = rows.deliveries(database.connection()).filter(recipient=recipient).order_by()
    return recipient in found.values_list("recipient", flat=True)[:1]


def beginning(start: str, most: int) -> list[str]:
    """Return addresses of the ledger that begin so, sorted; those of the first rows found.

    Args:
        start: the beginning, in lower case.
        most: at most so many.
    """
    # Compared here too, since some databases ignore case and accents.
    return sorted(each for each in _near(start) if each.startswith(start))[:most]


def deliveries_to(
    recipient: str, *, types: str = "*", since: datetime | None = None
) -> Iterator[Delivery]:
    """Yield what was meant for an address, the newest first; few are in memory.

    Args:
        recipient: the address as the ledger has it: ``channels.email.normalised``.
        types: a pattern of notification types.
        since: only what began at this time or later.
    """
    found = rows.deliveries(database.connection()).filter(recipient=recipient).order_by("-id")
    page = list(found[:PAGE])
    while page:
        for delivery in page:
            # Compared here, since some databases ignore case and accents.
            meant = delivery.recipient == recipient and patterns.matches(types, delivery.type)
            if meant and (since is None or delivery.created_at >= since):
                yield delivery
        last = page[-1]
        ended = len(page) < PAGE or (since is not None and last.created_at < since - SKEW)
        page = [] if ended else list(found.filter(id__lt=last.id)[:PAGE])


def duplicates_of(deliveries: Iterable[Delivery]) -> dict[UUID, int]:
    """Return how many duplicates were counted on each of these deliveries, by its id.

    Args:
        deliveries: some, not a whole ledger.
    """
    keys = [delivery.key for delivery in deliveries if delivery.key is not None]
    claims = Claim.objects.using(database.alias()).filter(key__in=keys, duplicates__gt=0)
    return dict(claims.values_list("delivery", "duplicates"))


def similar(recipient: str) -> list[str]:
    """Return at most three addresses of the ledger that this one may be a slip for.

    Those with the same name at another domain, else those that begin with the whole name,
    its first three letters, or its first.
    """
    name = recipient.partition("@")[0]
    for beginning in dict.fromkeys((f"{name}@", name, name[:3], name[:1])):
        near = sorted(_near(beginning) - {recipient})
        if likely := get_close_matches(recipient, near, n=3, cutoff=CLOSE):
            return likely
    return []


def _near(beginning: str) -> set[str]:
    found = rows.deliveries(database.connection()).filter(database.begins("recipient", beginning))
    return set(found.order_by().values_list("recipient", flat=True)[:NEIGHBOURS])
