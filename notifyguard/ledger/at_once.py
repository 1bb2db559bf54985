"""PostgreSQL: what takes other databases several statements, in one round trip and one commit.

Each says what ``statements`` says, and means the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger import rows
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.statements import CLAIM, CONFIRM, CONTROL, DELIVERY, MARK, matching

LOCKED = f"""control AS MATERIALIZED (
    SELECT generation FROM {CONTROL} WHERE id = 1 FOR SHARE)"""
# Column and type: an array needs it.
_COLUMNS = (
    ("id", "uuid"),
    ("dispatch", "uuid"),
    ("idempotency_key", "uuid"),
    ("fingerprint", "uuid"),
    ("type", "text"),
    ("recipient", "text"),
    ("state", "text"),
    ("attempt", "int"),
    ("rule", "text"),
    ("reason", "text"),
    ("origin", "text"),
    ("call_site", "text"),
    ("task_id", "text"),
    ("instance", "text"),
    ("backend", "text"),
    ("subject", "text"),
    ("message_id", "text"),
    ("created_at", "timestamptz"),
    ("changed_at", "timestamptz"),
    ("wake_at", "timestamptz"),
    ("due_at", "timestamptz"),
    ("scheduled", "boolean"),
    ("max_age", "interval"),
)
_NAMES = tuple(name for name, _ in _COLUMNS)
_LISTED = ", ".join(_NAMES)
_PLACES = ", ".join(["%s"] * len(_NAMES))
_ARRAYS = ", ".join(f"%s::{kind}[]" for _, kind in _COLUMNS)

CLAIMING = f"""INSERT INTO {CLAIM}
        (idempotency_key, delivery, fingerprint, duplicates, claimed_at)"""
_UNCHANGED = f"{CONTROL} WHERE {CONTROL}.id = 1 AND generation = %s FOR SHARE"
_ONE_WITHOUT_KEY = f"""INSERT INTO {DELIVERY} ({_LISTED})
    SELECT {_PLACES} FROM {_UNCHANGED} RETURNING id"""
_ONE_WITH_KEY = f"""WITH claimed AS (
        {CLAIMING}
        SELECT %s, %s, %s, 0, %s FROM {_UNCHANGED}
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING delivery)
    INSERT INTO {DELIVERY} ({_LISTED}) SELECT {_PLACES} FROM claimed RETURNING id"""
_MANY = f"""WITH {LOCKED},
    entry ({_LISTED}) AS (SELECT * FROM unnest({_ARRAYS})),
    claimed AS (
        {CLAIMING}
        SELECT idempotency_key, id, fingerprint, 0, created_at FROM entry, control
        WHERE generation = %s AND idempotency_key IS NOT NULL ORDER BY idempotency_key
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING delivery)
    INSERT INTO {DELIVERY} ({_LISTED})
    SELECT {_LISTED} FROM entry, control WHERE generation = %s
        AND (idempotency_key IS NULL OR id IN (SELECT delivery FROM claimed)) RETURNING id"""


def record(
    cursor: CursorWrapper, entries: Sequence[Entry], generation: int, at: datetime
) -> set[UUID]:
    """Claim keys and insert rows in one round trip and one commit.

    ``lock_generation``, ``claim`` and ``Delivery.objects.bulk_create`` of the
    winners, as one statement.

    Returns:
        The ids of the rows written: none when the generation is another than the one
        given. That none was written may have its cause in the keys as well.
    """
    if len(entries) > 1:
        statement, parameters = _recording_many(entries, generation, at)
    else:
        statement, parameters = _recording_one(entries[0], generation, at)
    cursor.execute(statement, parameters)
    return {row[0] for row in cursor.fetchall()}


def mark(
    connection: BaseDatabaseWrapper,
    entries: Sequence[Entry],
    generation: int,
    at: datetime,
    *,
    lease_ends: datetime | None = None,
    confirming: Sequence[Entry] = (),
    wake_at: datetime | None = None,
) -> tuple[int | None, set[UUID], int]:
    """Confirm one message and mark the next, the mark only if the generation is unchanged.

    ``statements.confirm``, ``lock_generation`` and ``statements.mark`` as one statement.

    Args:
        connection: in autocommit.
        entries: to be marked, all of one message.
        generation: of the board their decision was made under.
        at: the time by the database's clock.
        lease_ends: of what is marked, if its message is kept.
        confirming: entries of the message before, that share one outcome.
        wake_at: of the rows that are confirmed.

    Returns:
        The generation found, the ids of the rows marked, and how many were confirmed.
    """
    where, claimed = matching(connection, entries, (State.CLAIMED,))
    confirmed, parameters = "", []
    if confirming:
        theirs, in_flight = matching(connection, confirming, (State.IN_FLIGHT, State.UNCERTAIN))
        confirmed = f"""confirmed AS (
            UPDATE {DELIVERY} SET {CONFIRM} WHERE {theirs} RETURNING id),"""
        outcome = confirming[0]
        parameters = [outcome.state.value, outcome.rule, outcome.reason, at, wake_at, *in_flight]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH {LOCKED}, {confirmed}
            marked AS (
                UPDATE {DELIVERY} SET {MARK} FROM control
                WHERE generation = %s AND ({where}) RETURNING {DELIVERY}.id)
            SELECT (SELECT generation FROM control), ARRAY(SELECT id FROM marked),
                {"(SELECT count(*) FROM confirmed)" if confirming else 0}""",
            [
                *parameters,
                *(State.IN_FLIGHT.value, at, instance(), entries[0].message_id, lease_ends),
                *(generation, *claimed),
            ],
        )
        found, marked, count = cursor.fetchone()
    return found, set(marked), count


def count_duplicates(
    cursor: CursorWrapper, keys: Sequence[UUID]
) -> list[tuple[UUID, UUID, UUID | None]]:
    """Find taken keys and count one more duplicate on each, in one statement.

    Where no key is taken, which is the common case, nothing is written. A key
    whose holder has claimed it but not marked is left out: it may be taken over.
    The count alone is committed without waiting for the disk.
    """
    among = "= %s"
    sought: list[Any] = [*keys]
    if len(keys) > 1:
        # Two processes that count on the same keys in different orders deadlock.
        among = f"""IN (SELECT idempotency_key FROM {CLAIM} WHERE idempotency_key = ANY(%s)
            ORDER BY idempotency_key FOR NO KEY UPDATE)"""
        sought = [[*keys]]
    # The holder by its id alone. As a join, a planner without fresh statistics takes
    # the index on wake_at, which is empty in nearly every row, and reads them all.
    cursor.execute(
        f"""UPDATE {CLAIM} c SET duplicates = duplicates + 1
        WHERE idempotency_key {among} AND (
            SELECT state = 'claimed' AND wake_at IS NULL FROM {DELIVERY}
            WHERE id = c.delivery) IS NOT TRUE
        RETURNING idempotency_key, delivery, fingerprint,
            set_config('synchronous_commit', 'off', true)""",
        sought,
    )
    return [(key, delivery, fingerprint) for key, delivery, fingerprint, _ in cursor.fetchall()]


def _recording_one(entry: Entry, generation: int, at: datetime) -> tuple[str, list[Any]]:
    """Return the statement that records one entry, and its parameters.

    As short as can be: to plan it costs more than to run it, and a pooler lets nobody
    prepare it.
    """
    values = _values(entry, at)
    if entry.key is None:
        return _ONE_WITHOUT_KEY, [*values, generation]
    claim = (entry.key, entry.id, entry.fingerprint, at, generation)
    return _ONE_WITH_KEY, [*claim, *values]


def _recording_many(
    entries: Sequence[Entry], generation: int, at: datetime
) -> tuple[str, list[Any]]:
    """Return the statement that records several entries, and its parameters.

    Arrays, one for each column: a value list takes a parameter for each value, of which
    there may be 65,535.
    """
    columns = zip(*(_values(entry, at) for entry in entries), strict=True)
    return _MANY, [*map(list, columns), generation, generation]


def _values(entry: Entry, at: datetime) -> list[Any]:
    fixed = {
        "idempotency_key": entry.key,
        "instance": instance(),
        "created_at": at,
        "changed_at": at,
        "wake_at": rows.wakes(entry, at),
    }
    return [fixed[name] if name in fixed else getattr(entry, name) for name in _NAMES]
