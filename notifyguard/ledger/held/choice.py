"""Which held deliveries are meant: a choice, and what it meant at one moment.

However many are held, few are in memory: they are read a page at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from notifyguard import clock, database, patterns
from notifyguard.decision import State
from notifyguard.ledger import leases, rows
from notifyguard.models import Delivery, FrozenMessage

PAGE = 2_000
"""Rows that are read at a time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which held deliveries are meant.

    Attributes:
        pattern: their notification types.
        rules: the rules that held them; empty for any.
        older_than: only those whose message was sent before this time.
        newer_than: only those whose message was sent at this time or later.
        larger_than: only those whose message, as it is kept, has more bytes.
        smaller_than: only those whose message, as it is kept, has fewer bytes.
        people: only those to these addresses (``ann@example.com``) or domains
            (``example.com``), as the ledger has them; empty for any.
        limit: at most so many, the oldest first.
        ids: only these deliveries; ``None`` for any.
    """

    pattern: str = "*"
    rules: tuple[str, ...] = ()
    older_than: datetime | None = None
    newer_than: datetime | None = None
    larger_than: int | None = None
    smaller_than: int | None = None
    people: tuple[str, ...] = ()
    limit: int | None = None
    ids: tuple[UUID, ...] | None = None

    def __str__(self) -> str:
        if self.ids is not None:
            return ", ".join(map(str, self.ids))
        return f"{self.pattern} ({', '.join(self.rules)})" if self.rules else self.pattern

    def as_json(self) -> dict[str, Any]:
        """Return the choice as JSON can hold it."""
        return {
            **asdict(self),
            "older_than": self.older_than and self.older_than.isoformat(),
            "newer_than": self.newer_than and self.newer_than.isoformat(),
            "ids": None if self.ids is None else list(map(str, self.ids)),
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Choice:
        """Return the choice that was written by ``as_json``."""
        known = {field.name: written[field.name] for field in fields(cls) if field.name in written}
        return cls(
            **known
            | {
                "rules": tuple(known["rules"]),
                "people": tuple(known["people"]),
                "ids": None if known["ids"] is None else tuple(map(UUID, known["ids"])),
                "older_than": _time(known["older_than"]),
                "newer_than": _time(known["newer_than"]),
            }
        )


EVERYTHING = Choice()
"""Whatever is held."""


LATE = ("stale", "missed")
"""Rules that hold what comes late. Who releases it by that name makes it due now."""


class Held(NamedTuple):
    """What must be known of a held delivery to decide on it."""

    id: UUID
    dispatch: UUID
    type: str
    rule: str
    recipient: str
    subject: str
    created_at: datetime
    wake_at: datetime


@dataclass(frozen=True, slots=True)
class Meant:
    """What a choice meant at one moment. What is held later is no part of it.

    Attributes:
        choice: what was chosen.
        types: the types of what it meant.
        last: the last delivery that it meant, in the order in which they are read.
        at: the moment, by the database's clock.
    """

    choice: Choice
    types: tuple[str, ...]
    last: UUID
    at: datetime

    def rows(self) -> QuerySet[Delivery, Delivery]:
        """Return those that are still held, in no order.

        By what a database understands as we do: ``matching`` is the exact word.
        """
        found = filtered(self.choice).filter(changed_at__lte=self.at, id__lte=self.last)
        return found.filter(type__in=self.types).order_by()

    def untouched(self, ids: Iterable[UUID]) -> QuerySet[Delivery, Delivery]:
        """Return those of its rows that nobody has moved since, in no order.

        By their ids and nothing that has another index: without statistics PostgreSQL would
        read all that waits for each few of them.
        """
        found = rows.deliveries(database.connection()).filter(id__in=list(ids))
        return found.filter(state=State.HELD, changed_at__lte=self.at)

    def among(self, ids: Iterable[UUID]) -> QuerySet[Delivery, UUID]:
        """Return which of these it means and are still held, as far as a database tells."""
        found = narrowed(self.untouched(ids), self.choice).filter(id__lte=self.last)
        return found.filter(type__in=self.types).order_by().values_list("id", flat=True)

    def read(self, after: UUID | None, size: int) -> list[Held]:
        """Return the next of them that are still held, so many at most.

        Args:
            after: the last one that was read; ``None`` to begin.
            size: how many.
        """
        found = self.rows() if after is None else self.rows().filter(id__gt=after)
        return _read(found, size)

    def matching(self, rows: Iterable[Held]) -> list[Held]:
        """Return those of the rows that are meant, by our word and not the database's."""
        return list(matching(self.choice, rows))


def meant(choice: Choice) -> Meant | None:
    """Return what a choice means now; ``None`` if nothing is held that it means."""
    at = clock.now(database.connection())
    types = types_of(choice)
    found = filtered(choice).filter(changed_at__lte=at, type__in=types)
    last = _last(found, choice.limit) if types else None
    return None if last is None else Meant(choice, types, last, at)


def types_of(choice: Choice) -> tuple[str, ...]:
    """Return the types of what is held that a choice means."""
    found = filtered(choice).order_by("type").values_list("type", flat=True).distinct()
    return tuple(type for type in found if patterns.matches(choice.pattern, type))


def chosen(choice: Choice) -> Iterator[Held]:
    """Yield the held deliveries that are meant, the oldest first."""
    return islice(matching(choice, _all(filtered(choice))), choice.limit)


def filtered(choice: Choice) -> QuerySet[Delivery, Delivery]:
    """Return what is held, by those parts of a choice that a database understands as we do."""
    # Out of what waits, which has an index; the state has none.
    return narrowed(leases.waiting().filter(state=State.HELD), choice)


def narrowed(found: QuerySet[Delivery, Delivery], choice: Choice) -> QuerySet[Delivery, Delivery]:
    """Narrow rows down by the same parts of a choice, whatever their state."""
    if choice.rules:
        found = found.filter(rule__in=choice.rules)
    if choice.older_than:
        found = found.filter(created_at__lt=choice.older_than)
    if choice.newer_than:
        found = found.filter(created_at__gte=choice.newer_than)
    if choice.larger_than is not None:
        found = found.filter(_kept(size__gt=choice.larger_than))
    if choice.smaller_than is not None:
        found = found.filter(_kept(size__lt=choice.smaller_than))
    if choice.people:
        found = found.filter(_to(choice.people))
    if choice.ids is not None:
        found = found.filter(id__in=choice.ids)
    return found


def matching(choice: Choice, rows: Iterable[Held]) -> Iterator[Held]:
    """Yield the rows that are meant.

    Matched here, since no database knows our globs, and some ignore case.
    """
    for row in rows:
        if (
            patterns.matches(choice.pattern, row.type)
            and (not choice.rules or row.rule in choice.rules)
            and (not choice.people or _is_one_of(choice.people, row.recipient))
        ):
            yield row


def _all(rows: QuerySet[Delivery, Delivery]) -> Iterator[Held]:
    """Yield the rows in the order of their ids, which is that of time.

    Keyset pages and no cursor of the server: poolers lose one, and MariaDB's reads all.
    """
    page = _read(rows, PAGE)
    while page:
        yield from page
        page = _read(rows.filter(id__gt=page[-1].id), PAGE) if len(page) == PAGE else []


def _read(rows: QuerySet[Delivery, Delivery], size: int) -> list[Held]:
    # Sorted by ``wake_at`` first, which is the same for all that is held, so that no
    # database walks along the primary key, through every message ever sent.
    ordered = rows.order_by("wake_at", "id").values_list(*Held._fields)
    return [Held._make(row) for row in ordered[:size]]


def _last(rows: QuerySet[Delivery, Delivery], limit: int | None) -> UUID | None:
    ids = rows.values_list("id", flat=True)
    if limit is not None:
        found = list(ids.order_by("wake_at", "id")[limit - 1 : limit])
        if found:
            return found[0]
    return ids.order_by("-wake_at", "-id").first()


def _kept(**size: int) -> Exists:
    messages = FrozenMessage.objects.using(database.alias())
    return Exists(messages.filter(dispatch=OuterRef("dispatch"), **size))


def _to(people: tuple[str, ...]) -> Q:
    to = Q(recipient__in=[person for person in people if "@" in person])
    for domain in (person for person in people if "@" not in person):
        to |= Q(recipient__endswith=f"@{domain}")
    return to


def _is_one_of(people: tuple[str, ...], recipient: str) -> bool:
    return recipient in people or recipient.rpartition("@")[2] in people


def _time(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)
