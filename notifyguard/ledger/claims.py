"""Taking keys: a cheap look, and the claim that decides."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, database, hold
from notifyguard.ledger import at_once, rows, statements, takeover, taking
from notifyguard.ledger.entry import Entry, Taken
from notifyguard.ledger.takeover import Holder, StaleBoard
from notifyguard.models import Claim

logger = logging.getLogger("notifyguard")


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
        return database.retrying(partial(_look_at_once, connection, keys))
    return _look_and_count(connection, keys)


def record(
    entries: Sequence[Entry], generation: int, frozen: hold.Frozen | None = None
) -> list[Entry]:
    """Write new rows with their claims, all or none, in one commit.

    A row whose key is taken is not written; if its holder has only claimed the
    message and neither marked nor frozen it, the attempt takes it over.

    Args:
        entries: rows with their ``state``; no key twice.
        generation: of the board their decision was made under.
        frozen: the message, for rows that keep it.

    Returns:
        The entries that won. Who holds the keys of the others, ``look`` tells.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
        DatabaseError: nothing was written.
    """
    won: list[Entry] = []
    left = list(entries)
    try:
        while left:
            written = _record(left, generation, frozen)
            won += [entry for entry in left if entry.id in written]
            lost = [entry for entry in left if entry.id not in written]
            left = _take_over(lost, generation, frozen, won)
    except (StaleBoard, DatabaseError, InterfaceError):
        _withdraw(won)
        raise
    return won


def _take_over(
    lost: Sequence[Entry], generation: int, frozen: hold.Frozen | None, won: list[Entry]
) -> list[Entry]:
    """Add to ``won`` what can be taken over; return the entries whose holder is gone.

    A holder that failed since our claim has freed its key, and nobody sends.
    """
    gone = []
    for entry in lost:
        holder = database.retrying(partial(takeover.take_over, entry, generation, frozen))
        if holder is Holder.EVICTED:
            won.append(entry)
        elif holder is Holder.GONE:
            gone.append(entry)
    return gone


def _withdraw(won: Sequence[Entry]) -> None:
    """Take back what was written before the rest failed: nothing of it was handed over."""
    if not won:
        return
    try:
        rows.withdraw(won)
    except (DatabaseError, InterfaceError):
        # The database is gone. Marked rows will be called uncertain when their lease ends.
        logger.error("notifyguard: %d deliveries were marked and not handed over", len(won))


def _record(entries: Sequence[Entry], generation: int, frozen: hold.Frozen | None) -> set[UUID]:
    tried: list[bool] = []

    def attempt() -> set[UUID]:
        if tried and (written := _written(entries)):
            return written  # the commit had gone through, its reply was lost
        tried.append(True)
        hot = frozen is None and not any(entry.frozen for entry in entries)
        if hot and database.connection().vendor == "postgresql":
            return _record_at_once(entries, generation)
        return _record_in_steps(entries, generation, frozen)

    return database.retrying(attempt)


def _record_at_once(entries: Sequence[Entry], generation: int) -> set[UUID]:
    connection = database.connection()
    at = clock.now(connection)
    with connection.cursor() as cursor:
        won = at_once.record(cursor, entries, generation, at)
    if not won and statements.generation(connection) != generation:
        raise StaleBoard
    return won


def _record_in_steps(
    entries: Sequence[Entry], generation: int, frozen: hold.Frozen | None
) -> set[UUID]:
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != generation:
            raise StaleBoard
        at = clock.now(connection)
        keyed = [entry for entry in entries if entry.key is not None and entry.takes_key]
        holders = taking.claim(connection, keyed, at) if keyed else {}
        lost = [entry for entry in keyed if entry.key and holders[entry.key].delivery != entry.id]
        won = [entry for entry in entries if entry not in lost]
        rows.insert(connection, won, at)
        if frozen is not None and won:
            hold.keep_once(won[0].dispatch, frozen, at)
    return {entry.id for entry in won}


def _look_at_once(connection: BaseDatabaseWrapper, keys: Sequence[UUID]) -> dict[UUID, Taken]:
    with connection.cursor() as cursor:
        found = at_once.count_duplicates(cursor, keys)
    return {key: Taken(delivery, fingerprint) for key, delivery, fingerprint in found}


def _look_and_count(connection: BaseDatabaseWrapper, keys: Sequence[UUID]) -> dict[UUID, Taken]:
    taken = database.retrying(partial(_find_taken, connection, keys))
    claims = Claim.objects.using(connection.alias)
    # MariaDB: sorted, and a commit for each. Two processes that count on the same keys in
    # different orders do not deadlock. SQLite has one writer, and the disk to wait for.
    size = taking.AT_ONCE if connection.vendor == "sqlite" else 1
    ordered = sorted(taken, key=str)
    for start in range(0, len(ordered), size):
        some = claims.filter(key__in=ordered[start : start + size])
        database.retrying(partial(some.update, duplicates=F("duplicates") + 1))
    return taken


def _find_taken(connection: BaseDatabaseWrapper, keys: Sequence[UUID]) -> dict[UUID, Taken]:
    found = list(Claim.objects.using(connection.alias).filter(key__in=keys))
    if not found:
        return {}
    holders = [claim.delivery for claim in found]
    takeable = set(
        rows.deliveries(connection)
        .filter(id__in=holders, **takeover.UNMARKED)
        .values_list("id", flat=True)
    )
    return {
        claim.key: Taken(claim.delivery, claim.fingerprint)
        for claim in found
        if claim.delivery not in takeable
    }


def _written(entries: Sequence[Entry]) -> set[UUID]:
    ids = [entry.id for entry in entries]
    found = rows.deliveries(database.connection()).filter(id__in=ids)
    return set(found.values_list("id", flat=True))
