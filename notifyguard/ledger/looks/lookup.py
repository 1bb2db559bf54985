"""Looking deliveries up, the newest first: bounded work, however large the ledger is.

What is looked for has one or more *sources*: conditions that an index answers in the
order of the ids, which is that of time. They are walked together; a state that no index
knows is told while walking. When enough was looked at the walk ends, and says from where
to go on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from notifyguard import database
from notifyguard.decision import OPEN_STATES, State
from notifyguard.ledger import leases, rows
from notifyguard.ledger.entry import first_id_at
from notifyguard.ledger.looks import search, types_found
from notifyguard.models import Claim, Delivery

FOUND = 50
"""Deliveries of one answer."""

LOOKED_AT = 5_000
"""Deliveries that are looked at for one answer."""

SOURCES = 20
"""Addresses or types whose beginning is looked for; more are too many to read anyway."""

FIRST_PAGE = 60
PAGE = 1_000
"""Rows that are read at a time: few at first, since few are asked for; ever more after that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for.

    Attributes:
        term: an id of a delivery, a dispatch or a key; a type or its beginning; an
            address, normalised, or its beginning; ``""`` for anything.
        state: only those in this state.
        since: only what began at this time or later.
        until: only what began before this time.
    """

    term: str = ""
    state: State | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        deliveries: the newest first.
        names: the addresses or types that the term is the beginning of, if it is one.
        further: look behind this one for more; ``None`` when all was looked at.
        looked_at: how many deliveries.
    """

    deliveries: list[Delivery]
    names: tuple[str, ...]
    further: UUID | None
    looked_at: int


class _Seen(NamedTuple):
    id: UUID
    type: str
    recipient: str
    state: str
    created_at: datetime


def look_up(wanted: Wanted, behind: UUID | None = None) -> Answer:
    """Return what is looked for, the newest first, some at a time.

    Args:
        wanted: what is looked for.
        behind: only what is older than this; the ``further`` of the answer before.
    """
    names, sources = _sources(wanted)
    walks = [_walk(source, wanted, behind) for source in sources]
    seen = 0
    last: UUID | None = None
    found: list[UUID] = []
    for row in islice(heapq.merge(*walks, key=attrgetter("id"), reverse=True), LOOKED_AT):
        seen, last = seen + 1, row.id
        if _is_wanted(row, wanted):
            found.append(row.id)
            if len(found) == FOUND:
                break
    all_seen = len(found) < FOUND and seen < LOOKED_AT
    return Answer(_fetched(found), names, None if all_seen else last, seen)


def _fetched(ids: list[UUID]) -> list[Delivery]:
    by_id = rows.deliveries(database.connection()).in_bulk(ids)
    return [by_id[each] for each in ids if each in by_id]


def _sources(wanted: Wanted) -> tuple[tuple[str, ...], list[Q]]:
    term = wanted.term.strip()
    if not term:
        return (), [Q()]
    try:
        return (), [_of_id(UUID(term))]
    except ValueError:
        pass
    types = [] if "@" in term else list(islice(_types_beginning(term), SOURCES))
    if types:
        return _named(term, types), [Q(type=name) for name in types]
    addresses = (
        [term] if "@" in term and search.is_known(term) else search.beginning(term.lower(), SOURCES)
    )
    return _named(term, addresses), [Q(recipient=address) for address in addresses]


def _named(term: str, names: list[str]) -> tuple[str, ...]:
    return () if names == [term] else tuple(names)


def _types_beginning(term: str) -> Iterator[str]:
    names = types_found.names()
    yield from [term] if term in names else (name for name in names if name.startswith(term))


def _of_id(wanted: UUID) -> Q:
    claims = Claim.objects.using(database.alias()).filter(key=wanted)
    deliveries = rows.deliveries(database.connection())
    of_dispatch = deliveries.filter(dispatch=wanted).values_list("id", flat=True)[:LOOKED_AT]
    return Q(id__in=[wanted, *claims.values_list("delivery", flat=True), *of_dispatch])


def _walk(source: Q, wanted: Wanted, behind: UUID | None) -> Iterator[_Seen]:
    waits = wanted.state in OPEN_STATES and not wanted.term.strip()
    # What waits has an index of its own; without it all that was sent is walked through.
    found = leases.waiting() if waits else rows.deliveries(database.connection())
    found = found.filter(source, _between(wanted)).order_by("-id")
    size = FIRST_PAGE
    while True:
        further = found if behind is None else found.filter(id__lt=behind)
        page = [_Seen._make(row) for row in further.values_list(*_Seen._fields)[:size]]
        yield from page
        if len(page) < size:
            return
        behind, size = page[-1].id, min(2 * size, PAGE)


def _between(wanted: Wanted) -> Q:
    """Bound the ids, which carry the time of the hosts that made them."""
    bounds = Q()
    if wanted.since:
        bounds &= Q(id__gte=first_id_at(wanted.since - search.SKEW))
    if wanted.until:
        bounds &= Q(id__lt=first_id_at(wanted.until + search.SKEW))
    return bounds


def _is_wanted(row: _Seen, wanted: Wanted) -> bool:
    return (
        (wanted.state is None or row.state == wanted.state)
        and (wanted.since is None or row.created_at >= wanted.since)
        and (wanted.until is None or row.created_at < wanted.until)
    )
