"""What ends in favour of another when held messages are let go: nobody needs it twice.

    repeat      says the same to the same person as one that this release has let go
    digest      one message to the person tells of it and others: ``digests``
    superseded  the code that sent it said that a later one takes its place, and one waits:
                it is queued, or this release means it too, or the same rule holds both.
                What something else holds may never leave, and takes nobody's place

Asked under the lock of the release, for the few that are about to go. Each ends as
``discarded``, and its reason names the one that is left: so it can be had back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet

from notifyguard import clock
from notifyguard.decision import State
from notifyguard.ledger import rows
from notifyguard.ledger.held import releases
from notifyguard.ledger.held.choice import Meant
from notifyguard.models import Delivery, Release, Released

REPEAT = "repeat"
SUPERSEDED = "superseded"
DIGEST = "digest"

NEWEST = 500
"""Deliveries that are looked at for the last of their mark, at a time."""


class Leaving(NamedTuple):
    """What must be known of a delivery that is about to be let go."""

    id: UUID
    type: str
    recipient: str
    fingerprint: UUID | None
    supersedes: UUID | None
    rule: str

    @property
    def content(self) -> UUID | None:
        """What it says and to whom, in 128 bits; ``None`` where that is not known."""
        if self.fingerprint is None:
            return None
        # Hashed here: databases take "jose" and "josé" for one recipient.
        said = f"{len(self.type)}:{self.type}{self.recipient}".encode("utf-8", "surrogatepass")
        return UUID(bytes=sha256(self.fingerprint.bytes + said).digest()[:16], version=5)


class Folded(NamedTuple):
    """Why a delivery ends, and the one that it ends in favour of."""

    rule: str
    other: UUID


def folded(
    connection: BaseDatabaseWrapper, release: Release, leaving: Sequence[Leaving]
) -> dict[UUID, Folded]:
    """Return which of the deliveries end, and why.

    Args:
        connection: in a transaction that has locked the release and these rows.
        release: that would let them go.
        leaving: in the order of their ids.
    """
    ended = superseded(connection, releases.meant(release), leaving)
    found = {each.id: Folded(SUPERSEDED, by) for each, by in ended}
    left = [each for each in leaving if each.id not in found]
    if not release.keeps_repeats:
        repeats = _repeats(connection, release, left)
        found.update({each.id: Folded(REPEAT, of) for each, of in repeats})
    return found


def end(connection: BaseDatabaseWrapper, endings: Mapping[UUID, Folded], now: datetime) -> None:
    """End deliveries in favour of others; their keys stay taken and their bodies are kept."""
    together: dict[Folded, list[UUID]] = {}
    for ended, why in endings.items():
        together.setdefault(why, []).append(ended)
    for why, ids in together.items():
        rows.deliveries(connection).filter(id__in=ids, state=State.HELD).update(
            state=State.DISCARDED,
            attempt=F("attempt") + 1,
            rule=why.rule,
            reason=_REASONS[why.rule].format(why.other),
            changed_at=now,
            wake_at=None,
        )


def superseded(
    connection: BaseDatabaseWrapper, what: Meant, leaving: Sequence[Leaving]
) -> Iterator[tuple[Leaving, UUID]]:
    """Yield each of which a later one waits, with the last of these.

    Args:
        connection: to the ledger's database.
        what: the release means.
        leaving: some of it.
    """
    wanted: dict[UUID | None, set[str]] = {}
    for each in leaving:
        if each.supersedes is not None:
            wanted.setdefault(each.supersedes, set()).add(each.rule)
    last = _last(connection, what, wanted)
    for each in leaving:
        by = last.get((each.supersedes, each.rule), each.id)
        if by > each.id:
            yield each, by


def _last(
    connection: BaseDatabaseWrapper, what: Meant, wanted: dict[UUID | None, set[str]]
) -> dict[tuple[UUID | None, str], UUID]:
    """Return the last that waits with each mark, and takes the place of what a rule holds.

    The newest are read first, and no more than are needed: a loop that ran away has left a
    hundred thousand with one mark.
    """
    last: dict[tuple[UUID | None, str], UUID] = {}
    waiting = _waiting(connection).order_by("-id")
    while wanted:
        found = waiting.filter(supersedes__in=wanted)
        page = list(found.values_list("id", "supersedes", "state", "rule")[:NEWEST])
        meant = set(what.among(other for other, *_ in page))
        for other, supersedes, state, rule in page:
            leaves = state == State.QUEUED or other in meant
            rules = wanted.get(supersedes, set())
            for held_by in [*rules] if leaves else rules & {rule}:
                last[supersedes, held_by] = other
                rules.discard(held_by)
        wanted = {mark: rules for mark, rules in wanted.items() if rules}
        if len(page) < NEWEST:
            break
        waiting = waiting.filter(id__lt=page[-1][0])
    return last


_REASONS = {
    REPEAT: "It says the same as delivery {}, which was released.",
    SUPERSEDED: "Delivery {}, which waits, takes its place.",
    DIGEST: "The digest, delivery {}, tells of it.",
}


def _repeats(
    connection: BaseDatabaseWrapper, release: Release, leaving: Sequence[Leaving]
) -> Iterator[tuple[Leaving, UUID]]:
    """Yield each that says what another of the release says, with that one."""
    contents = [(each, each.content) for each in leaving]
    let_go = Released.objects.using(connection.alias).filter(release=release)
    known = let_go.filter(content__in={content for _, content in contents if content})
    first = dict(known.values_list("content", "delivery"))
    for each, content in contents:
        if content is not None and first.setdefault(content, each.id) != each.id:
            yield each, first[content]


def _waiting(connection: BaseDatabaseWrapper) -> QuerySet[Delivery, Delivery]:
    """Return what waits to leave: held, or queued; not what is for a time to come."""
    ours = Q(state=State.HELD) | Q(state=State.QUEUED) & ~Q(rule=rows.HANDED_ON)
    later = Q(due_at__isnull=False, due_at__gt=clock.now(connection))
    return rows.deliveries(connection).filter(ours & ~later).order_by()
