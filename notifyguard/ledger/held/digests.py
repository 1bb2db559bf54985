"""Which held deliveries are told in one message, and that message in their place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import clock, database, hold
from notifyguard.exceptions import NotifyguardError
from notifyguard.ledger import rows, taking
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.held import folding, releases
from notifyguard.ledger.held.folding import Folded
from notifyguard.models import Release, Released

MOST = 500
"""Messages that one digest tells of; what is more goes into the next."""


class StalePlan(NotifyguardError):
    """The release went on, or something was moved, since digests were made; make them anew."""


class Told(NamedTuple):
    """A held delivery that a digest tells of."""

    id: UUID
    type: str
    recipient: str
    dispatch: UUID
    created_at: datetime
    backend: str
    fingerprint: UUID | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A message in the place of several.

    Attributes:
        entry: its delivery, queued.
        frozen: the message.
        told: the deliveries that end for it.
    """

    entry: Entry
    frozen: hold.Frozen
    told: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Digests for the next step of a release.

    Attributes:
        cursor: where the release stood.
        digests: what was made.
    """

    cursor: UUID | None
    digests: tuple[Digest, ...]


def groups(release: Release, types: Collection[str], size: int) -> list[list[Told]]:
    """Return the deliveries that a step of a release would tell in digests, by person.

    Args:
        release: as it stands.
        types: those that name a digest.
        size: how many deliveries the step looks at.
    """
    what = releases.meant(release)
    page = [row for row in what.matching(what.read(release.cursor, size)) if row.type in types]
    if not page:
        return []
    found = what.rows().filter(
        type__in={row.type for row in page}, recipient__in={row.recipient for row in page}
    )
    # What is scheduled for later is told by itself, when it is due.
    found = found.exclude(due_at__gt=clock.now(database.connection()))
    meant = {(row.type, row.recipient) for row in page}
    ordered = found.order_by("id").values_list(*Told._fields)
    told = [each for each in map(Told._make, ordered) if (each.type, each.recipient) in meant]
    together = groupby(sorted(told, key=_whose), key=_whose)
    return [group[:MOST] for group in (list(each) for _, each in together) if len(group) > 1]


def let_go(connection: BaseDatabaseWrapper, release: Release, plan: Plan, now: datetime) -> int:
    """Queue digests in the place of what they tell of; return how many.

    Args:
        connection: in a transaction that has locked the release.
        release: whose step this is.
        plan: made for it.
        now: by the database's clock.

    Raises:
        StalePlan: it is for another step, or something of it was moved meanwhile.
    """
    if plan.cursor != release.cursor:
        raise StalePlan
    for digest in plan.digests:
        digest.entry.wakes_at = now
        _replace(connection, release, digest, now)
    return len(plan.digests)


def _replace(
    connection: BaseDatabaseWrapper, release: Release, digest: Digest, now: datetime
) -> None:
    entry = digest.entry
    held = releases.meant(release).rows().filter(id__in=digest.told)
    locked = list(held.select_for_update().order_by("id").values_list("id", flat=True))
    holder = next(iter(taking.claim(connection, [entry], now).values()))
    if len(locked) != len(digest.told) or holder.delivery != entry.id:
        raise StalePlan
    rows.insert(connection, [entry], now)
    hold.keep(entry.dispatch, digest.frozen, now)
    Released.objects.using(connection.alias).create(release=release, delivery=entry.id)
    folding.end(connection, dict.fromkeys(locked, Folded(folding.DIGEST, entry.id)), now)
    release.folded += len(locked)


def _whose(told: Told) -> tuple[str, str]:
    return told.type, told.recipient
