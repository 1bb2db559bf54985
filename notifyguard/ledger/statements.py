"""The few statements that the ORM cannot say, or says at more than 1.5 times the cost.

Each names its meaning in terms of the ORM. They share one idea: a statement that
lets a message leave locks the control row against a switch being set and compares
the generation under which the decision was made.
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
from notifyguard.ledger.entry import Entry

CONTROL = "notifyguard_control"
CLAIM = "notifyguard_claim"
DELIVERY = "notifyguard_delivery"

# Column, PostgreSQL type (a VALUES list needs it where a value may be NULL).
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
)
# A delivery that meets its own claim, as a released one does, is no duplicate of itself.
_ON_CONFLICT = (
    f"ON CONFLICT (idempotency_key) DO UPDATE SET duplicates = {CLAIM}.duplicates"
    f" + CASE WHEN {CLAIM}.delivery = excluded.delivery THEN 0 ELSE 1 END"
)
# Never INSERT IGNORE: it turns a refused value into NULL, and uniqueness is gone.
_ON_TAKEN_KEY = {
    "mysql": "ON DUPLICATE KEY UPDATE duplicates = duplicates + (delivery <> VALUES(delivery))"
}
_NAMES = tuple(name for name, _ in _COLUMNS)
_STORED = tuple(name for name in _NAMES if name != "fingerprint")


def lock_generation(connection: BaseDatabaseWrapper) -> int | None:
    """Share-lock the control row until the end of the transaction; return its generation.

    ``Control.objects.select_for_update(…)``, but shared: marks do not wait for
    each other, only a change of a switch waits for them and they for it.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # A write first: it waits for other writers, where a transaction that
            # began by reading would be refused at its first write.
            cursor.execute(f"UPDATE {CONTROL} SET generation = generation WHERE id = 1")
        shared = {"postgresql": " FOR SHARE", "mysql": " LOCK IN SHARE MODE"}
        lock = shared.get(connection.vendor, "")
        cursor.execute(f"SELECT generation FROM {CONTROL} WHERE id = 1{lock}")
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def generation(connection: BaseDatabaseWrapper) -> int | None:
    """Return the generation of the control row, without a lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT generation FROM {CONTROL} WHERE id = 1")
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def claim(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], at: datetime
) -> dict[UUID, UUID]:
    """Claim the keys of the entries; return which delivery holds each key.

    ``Claim.objects.bulk_create(…)`` where a conflict adds to the winner's
    ``duplicates``. Sorted by key: two processes that claim the same keys in
    different orders deadlock.

    Args:
        connection: in a transaction.
        entries: all with a key, no key twice.
        at: the time by the database's clock.
    """
    ordered = sorted(entries, key=lambda entry: str(entry.key))
    moment = connection.ops.adapt_datetimefield_value(at)
    rows = [
        [_uuid(connection, value) for value in (entry.key, entry.id, entry.fingerprint)]
        for entry in ordered
    ]
    values = ", ".join(["(%s, %s, %s, 0, %s)"] * len(rows))
    marks = ", ".join(["%s"] * len(rows))
    # A locking read: a plain one may be of a snapshot older than the winner's row.
    lock = " LOCK IN SHARE MODE" if connection.vendor == "mysql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {CLAIM} (idempotency_key, delivery, fingerprint, duplicates, claimed_at)"
            f" VALUES {values} {_ON_TAKEN_KEY.get(connection.vendor, _ON_CONFLICT)}",
            [value for row in rows for value in (*row, moment)],
        )
        cursor.execute(
            f"SELECT idempotency_key, delivery FROM {CLAIM}"
            f" WHERE idempotency_key IN ({marks}){lock}",
            [row[0] for row in rows],
        )
        return {_as_uuid(key): _as_uuid(delivery) for key, delivery in cursor.fetchall()}


def record_on_postgresql(
    cursor: CursorWrapper, entries: Sequence[Entry], generation: int, at: datetime
) -> tuple[int | None, set[UUID]]:
    """Claim keys and insert rows in one round trip and one commit.

    ``lock_generation``, ``claim`` and ``Delivery.objects.bulk_create`` of the
    winners, as one statement.

    Returns:
        The generation found, and the ids of the rows written: none when the
        generation is another than the one given.
    """
    row = "(" + ", ".join(f"%s::{kind}" for _, kind in _COLUMNS) + ")"
    entry_rows = ", ".join([row] * len(entries))
    stored = ", ".join(_STORED)
    claimed = (
        f"""claimed AS (
            INSERT INTO {CLAIM} AS c
                (idempotency_key, delivery, fingerprint, duplicates, claimed_at)
            SELECT idempotency_key, id, fingerprint, 0, created_at FROM entry, control
            WHERE generation = %s AND idempotency_key IS NOT NULL ORDER BY idempotency_key
            ON CONFLICT (idempotency_key) DO UPDATE SET duplicates = c.duplicates + 1
            RETURNING delivery),"""
        if any(entry.key for entry in entries)
        else ""
    )
    won = "AND (idempotency_key IS NULL OR id IN (SELECT delivery FROM claimed))" if claimed else ""
    parameters: list[Any] = [
        value
        for entry in sorted(entries, key=lambda entry: str(entry.key))
        for value in _values(entry, at)
    ]
    cursor.execute(
        f"""WITH control AS MATERIALIZED (
            SELECT generation FROM {CONTROL} WHERE id = 1 FOR SHARE),
        entry ({", ".join(_NAMES)}) AS (VALUES {entry_rows}),
        {claimed}
        recorded AS (
            INSERT INTO {DELIVERY} ({stored})
            SELECT {stored} FROM entry, control WHERE generation = %s {won}
            RETURNING id)
        SELECT generation, ARRAY(SELECT id FROM recorded) FROM control""",
        [*parameters, *([generation] if claimed else []), generation],
    )
    found = cursor.fetchone()
    return (None, set()) if found is None else (int(found[0]), set(found[1]))


def mark(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], generation: int, at: datetime
) -> set[UUID]:
    """Move claimed entries of one message to ``in_flight``; return those that moved.

    ``Delivery.objects.filter(id, attempt, state="claimed").update(…)``, if the
    generation is still the one given; one statement.
    """
    where, parameters = _matching(connection, entries, (State.CLAIMED,))
    moment = connection.ops.adapt_datetimefield_value(at)
    changed = [State.IN_FLIGHT.value, moment, instance(), entries[0].message_id]
    changes = "state = %s, changed_at = %s, instance = %s, message_id = %s"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"""WITH control AS MATERIALIZED (
                    SELECT generation FROM {CONTROL} WHERE id = 1 FOR SHARE)
                UPDATE {DELIVERY} SET {changes} FROM control
                WHERE generation = %s AND ({where}) RETURNING {DELIVERY}.id""",
                [*changed, generation, *parameters],
            )
            return {row[0] for row in cursor.fetchall()}
        moved = set()
        for entry in entries:
            where, parameters = _matching(connection, [entry], (State.CLAIMED,))
            cursor.execute(
                f"UPDATE {DELIVERY} SET {changes} WHERE {where}", [*changed, *parameters]
            )
            if cursor.rowcount == 1:
                moved.add(entry.id)
        return moved


def confirm(
    connection: BaseDatabaseWrapper,
    entries: Sequence[Entry],
    states: Sequence[State],
    at: datetime,
    wake_at: datetime | None,
) -> int:
    """Write the outcome that all the entries share; return how many rows changed.

    ``Delivery.objects.filter(id, attempt, state__in=states).update(…)``.
    """
    where, parameters = _matching(connection, entries, states)
    adapt = connection.ops.adapt_datetimefield_value
    outcome = entries[0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {DELIVERY} SET state = %s, rule = %s, reason = %s, changed_at = %s,"
            f" wake_at = %s WHERE {where}",
            [
                *(outcome.state.value, outcome.rule, outcome.reason),
                *(adapt(at), adapt(wake_at), *parameters),
            ],
        )
        return int(cursor.rowcount)


def count_duplicates_on_postgresql(
    cursor: CursorWrapper, keys: Sequence[UUID]
) -> list[tuple[UUID, UUID, UUID | None]]:
    """Find taken keys and count one more duplicate on each, in one statement.

    Where no key is taken, which is the common case, nothing is written. A key
    whose holder has claimed it but not marked is left out: it may be taken over.
    The count alone is committed without waiting for the disk.
    """
    among = "= ANY(%s)"
    if len(keys) > 1:
        # Two processes that count on the same keys in different orders deadlock.
        among = f"""IN (SELECT idempotency_key FROM {CLAIM} WHERE idempotency_key = ANY(%s)
            ORDER BY idempotency_key FOR NO KEY UPDATE)"""
    # The holder by its id alone. As a join, a planner without fresh statistics takes
    # the index on wake_at, which is empty in nearly every row, and reads them all.
    cursor.execute(
        f"""UPDATE {CLAIM} c SET duplicates = duplicates + 1
        WHERE idempotency_key {among} AND (
            SELECT state = 'claimed' AND wake_at IS NULL FROM {DELIVERY}
            WHERE id = c.delivery) IS NOT TRUE
        RETURNING idempotency_key, delivery, fingerprint,
            set_config('synchronous_commit', 'off', true)""",
        [list(keys)],
    )
    return [(key, delivery, fingerprint) for key, delivery, fingerprint, _ in cursor.fetchall()]


def _matching(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], states: Sequence[State]
) -> tuple[str, list[Any]]:
    by_attempt: dict[int, list[Any]] = {}
    for entry in entries:
        by_attempt.setdefault(entry.attempt, []).append(_uuid(connection, entry.id))
    alike = [
        f"(attempt = %s AND {DELIVERY}.id IN ({', '.join(['%s'] * len(ids))}))"
        for ids in by_attempt.values()
    ]
    parameters: list[Any] = [state.value for state in states]
    for attempt, ids in by_attempt.items():
        parameters += [attempt, *ids]
    among = ", ".join(["%s"] * len(states))
    return f"state IN ({among}) AND ({' OR '.join(alike)})", parameters


def _values(entry: Entry, at: datetime) -> list[Any]:
    fixed = {"instance": instance(), "created_at": at, "changed_at": at, "wake_at": None}
    fixed["idempotency_key"] = entry.key
    return [fixed[name] if name in fixed else getattr(entry, name) for name in _NAMES]


def _uuid(connection: BaseDatabaseWrapper, value: UUID | None) -> Any:
    if value is None or connection.features.has_native_uuid_field:
        return value
    return value.hex


def _as_uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
