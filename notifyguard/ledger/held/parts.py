"""What is held, counted by one thing: its age, its size, whom it is for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    F,
    OuterRef,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import StrIndex, Substr

from notifyguard import clock, database
from notifyguard.ledger import statements
from notifyguard.ledger.held import COUNTS
from notifyguard.ledger.held.choice import EVERYTHING, Choice, filtered, types_of
from notifyguard.models import FrozenMessage

MOST = 50
"""Parts that are counted; of people there may be as many as deliveries."""

AGES = {
    "under 1 hour": timedelta(hours=1),
    "1 hour to 1 day": timedelta(days=1),
    "1 to 7 days": timedelta(days=7),
    "7 to 30 days": timedelta(days=30),
}
OLDEST = "over 30 days"
SIZES = {"under 10 kB": 10_000, "10 to 100 kB": 100_000, "100 kB to 1 MB": 1_000_000}
LARGEST = "over 1 MB"
NOT_KEPT = "without a message"
KINDS = ("type", "rule", "age", "size", "person", "domain")
"""What can be counted by."""

_ORDER = [*AGES, OLDEST, *SIZES, LARGEST, NOT_KEPT]


class Part(NamedTuple):
    """What is held of one age, size, person, domain, type or rule; counted as ``Totals``.

    Attributes:
        part: which.
    """

    part: str
    deliveries: int
    messages: int
    people: int
    bytes: int
    oldest: datetime
    newest: datetime


def parts(by: str, choice: Choice = EVERYTHING) -> list[Part]:
    """Count what is held. The limit of the choice has no meaning here.

    Args:
        by: one of ``KINDS``.
        choice: what is meant.

    Returns:
        At most ``MOST`` parts: by age and size in their order, else the largest first.
    """
    found = filtered(choice).filter(type__in=types_of(choice)).order_by()
    found = found.annotate(size=_size()) if by == "size" else found
    found = found.annotate(part=_expressions(clock.now(database.connection()))[by])
    counted = found.values("part").annotate(**COUNTS).order_by(F("deliveries").desc(), "part")
    sizes = statements.kept_bytes(database.connection(), found.values("part", "dispatch"), "part")
    rows = [_part(each, sizes) for each in counted[:MOST]]
    return sorted(rows, key=_place) if by in ("age", "size") else rows


def _expressions(now: datetime) -> dict[str, Any]:
    ages = [When(created_at__gt=now - age, then=Value(name)) for name, age in AGES.items()]
    sizes = [When(size__lt=size, then=Value(name)) for name, size in SIZES.items()]
    known = When(size__isnull=False, then=Value(LARGEST))
    behind_at = StrIndex("recipient", Value("@")) + 1
    return {
        "type": F("type"),
        "rule": F("rule"),
        "person": F("recipient"),
        "domain": Substr("recipient", behind_at),
        "age": Case(*ages, default=Value(OLDEST), output_field=CharField()),
        "size": Case(*sizes, known, default=Value(NOT_KEPT), output_field=CharField()),
    }


def _size() -> Subquery:
    messages = FrozenMessage.objects.using(database.alias())
    kept = messages.filter(dispatch=OuterRef("dispatch")).values("size")
    return Subquery(kept, output_field=BigIntegerField())


def _part(counted: Mapping[str, Any], sizes: Mapping[tuple[Any, ...], int]) -> Part:
    return Part(**counted, bytes=sizes.get((counted["part"],), 0))


def _place(part: Part) -> int:
    return _ORDER.index(part.part)
