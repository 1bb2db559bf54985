"""Taking keys: a cheap look, and the claim that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, database, hold
from notifyguard.decision import State
from notifyguard.exceptions import NotifyguardError
from notifyguard.identity import instance
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.models import Claim

_UNFROZEN_CLAIMED = {"state": State.CLAIMED, "wake_at": None}
"""A batch's row: claimed, not marked, nothing kept. Whoever comes may take it over."""


class StaleBoard(NotifyguardError):
    """A switch was set after the decision; decide again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A key that somebody holds: by which delivery, and with what content."""

    delivery: UUID
    fingerprint: UUID | None


def look(keys: Sequence[UUID]) -> dict[UUID, Taken]:
    """Find which keys are taken, and count a duplicate on each of these.

    The cheap look that comes before connecting: a redelivery storm opens no
    connection. It is not the guard; the claim is.

    Args:
        keys: the keys of a message or batch, none twice.
    """
    if not keys:
        return {}
    connection = database.connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            found = statements.count_duplicates_on_postgresql(cursor, keys)
        return {key: Taken(delivery, fingerprint) for key, delivery, fingerprint in found}
    return _look_and_count(connection, keys)


def record(
    entries: Sequence[Entry], generation: int, frozen: hold.Frozen | None = None
) -> list[Entry]:
    """Write new rows with their claims, all or none, in one commit.

    A row whose key is taken is not written and a duplicate is counted on the
    winner; if the winner has only claimed and neither marked nor frozen it, the
    attempt takes it over.

    Args:
        entries: rows with their ``state``; no key twice.
        generation: of the board their decision was made under.
        frozen: the message, for rows that keep it.

    Returns:
        The entries that won.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
        DatabaseError: nothing was written.
    """
    tried: list[bool] = []

    def attempt() -> set[UUID]:
        if tried and (written := _written(entries)):
            return written  # the commit had gone through, its reply was lost
        tried.append(True)
        if frozen is None and database.connection().vendor == "postgresql":
            return _record_at_once(entries, generation)
        return _record_in_steps(entries, generation, frozen)

    won = database.retrying(attempt)
    return [entry for entry in entries if entry.id in won or _take_over(entry, generation)]


def _record_at_once(entries: Sequence[Entry], generation: int) -> set[UUID]:
    connection = database.connection()
    at = clock.now(connection)
    with connection.cursor() as cursor:
        found, won = statements.record_on_postgresql(cursor, entries, generation, at)
    if found != generation:
        raise StaleBoard
    return won


def _record_in_steps(
    entries: Sequence[Entry], generation: int, frozen: hold.Frozen | None
) -> set[UUID]:
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != generation:
            raise StaleBoard
        at = clock.now(connection)
        keyed = [entry for entry in entries if entry.key is not None]
        holders = statements.claim(connection, keyed, at) if keyed else {}
        won = [e for e in entries if e.key is None or holders[e.key] == e.id]
        rows.insert(connection, won, at)
        if frozen is not None and won:
            hold.keep(won[0].dispatch, frozen, at)
    return {entry.id for entry in won}


def _take_over(entry: Entry, generation: int) -> bool:
    """Make the row of whoever claimed the key and has not marked it ours, one attempt later."""
    if entry.key is None or entry.state not in (State.CLAIMED, State.IN_FLIGHT):
        return False
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != generation:
            raise StaleBoard
        deliveries = rows.deliveries(connection)
        claim = Claim.objects.using(connection.alias).filter(key=entry.key).first()
        theirs = claim and deliveries.filter(id=claim.delivery, **_UNFROZEN_CLAIMED).first()
        if not theirs:
            return False
        carried = {
            name: getattr(entry, name) for name in rows.CARRIED if name not in ("id", "attempt")
        }
        taken = deliveries.filter(id=theirs.id, attempt=theirs.attempt, **_UNFROZEN_CLAIMED).update(
            attempt=theirs.attempt + 1,
            instance=instance(),
            changed_at=clock.now(connection),
            **carried,
        )
        if taken:
            entry.id, entry.attempt = theirs.id, theirs.attempt + 1
        return bool(taken)


def _look_and_count(connection: BaseDatabaseWrapper, keys: Sequence[UUID]) -> dict[UUID, Taken]:
    claims = Claim.objects.using(connection.alias)
    found = {claim.key: claim for claim in claims.filter(key__in=keys)}
    if not found:
        return {}
    holders = [claim.delivery for claim in found.values()]
    takeable = set(
        rows.deliveries(connection)
        .filter(id__in=holders, **_UNFROZEN_CLAIMED)
        .values_list("id", flat=True)
    )
    taken = {key: claim for key, claim in found.items() if claim.delivery not in takeable}
    # Sorted: two processes that count on the same keys in different orders deadlock.
    for key in sorted(taken, key=str):
        one = claims.filter(key=key)
        database.retrying(partial(one.update, duplicates=F("duplicates") + 1))
    return {key: Taken(claim.delivery, claim.fingerprint) for key, claim in taken.items()}


def _written(entries: Sequence[Entry]) -> set[UUID]:
    ids = [entry.id for entry in entries]
    found = rows.deliveries(database.connection()).filter(id__in=ids)
    return set(found.values_list("id", flat=True))
