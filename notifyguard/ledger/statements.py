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

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard.database.committed import SEES_COMMITS
from notifyguard.decision import OPEN_STATES, State
from notifyguard.identity import instance
from notifyguard.ledger.entry import Entry
from notifyguard.models import Delivery

CONTROL = "notifyguard_control"
CLAIM = "notifyguard_claim"
DELIVERY = "notifyguard_delivery"
FROZEN = "notifyguard_frozenmessage"
CONTENT = "notifyguard_frozencontent"
WITHOUT_BODY = ("cancelled", "suppressed")
"""Rules that discard for good: nobody could want it back."""

MARK = "state = %s, changed_at = %s, instance = %s, message_id = %s, wake_at = %s"
CONFIRM = "state = %s, rule = %s, reason = %s, changed_at = %s, wake_at = %s"


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


def committed_generation(connection: BaseDatabaseWrapper) -> int | None:
    """Return the generation as others committed it, or ``None`` if this transaction cannot tell.

    PostgreSQL only. The isolation level is looked at before the row: a serializable
    transaction that has read it could be cancelled for a switch.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT generation FROM {CONTROL} WHERE id = 1"
            " AND current_setting('transaction_isolation') = ANY(%s)",
            [SEES_COMMITS],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def begin(connection: BaseDatabaseWrapper, generation: int, salt: str, at: datetime) -> None:
    """Make the control row if it is not there.

    ``Control.objects.get_or_create(…)``, over whichever connection.
    """
    taken = {"mysql": "ON DUPLICATE KEY UPDATE id = id"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {CONTROL} (id, generation, salt, created_at) VALUES (1, %s, %s, %s)"
            f" {taken.get(connection.vendor, 'ON CONFLICT DO NOTHING')}",
            [generation, salt, connection.ops.adapt_datetimefield_value(at)],
        )


def mark(
    connection: BaseDatabaseWrapper,
    entries: Sequence[Entry],
    at: datetime,
    wake_at: datetime | None,
) -> set[UUID]:
    """Move claimed entries of one message to ``in_flight``; return those that moved.

    ``Delivery.objects.filter(id, attempt, state="claimed").update(…)``.

    Args:
        connection: in a transaction that has locked the generation and found it unchanged.
        entries: of one message.
        at: the time by the database's clock.
        wake_at: when their lease ends, if their message is kept.
    """
    moved = set()
    adapt = connection.ops.adapt_datetimefield_value
    values = [State.IN_FLIGHT.value, adapt(at), instance(), entries[0].message_id, adapt(wake_at)]
    with connection.cursor() as cursor:
        for entry in entries:
            where, parameters = matching(connection, [entry], (State.CLAIMED,))
            cursor.execute(f"UPDATE {DELIVERY} SET {MARK} WHERE {where}", [*values, *parameters])
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
    where, parameters = matching(connection, entries, states)
    adapt = connection.ops.adapt_datetimefield_value
    outcome = entries[0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {DELIVERY} SET {CONFIRM} WHERE {where}",
            [
                *(outcome.state.value, outcome.rule, outcome.reason),
                *(adapt(at), adapt(wake_at), *parameters),
            ],
        )
        return int(cursor.rowcount)


def drop_if_done(connection: BaseDatabaseWrapper, *dispatches: UUID) -> None:
    """Delete the messages that are kept for dispatches of which nothing waits any more.

    Nor was discarded, save by the code that sent it: that can be undone until its
    body is pruned. ``FrozenMessage.objects.filter(~Exists(…), dispatch__in=…).delete()``,
    and if there was one ``FrozenContent.objects.filter(~Exists(…), dispatch__in=…).delete()``.
    """
    keys = [stored_uuid(connection, dispatch) for dispatch in sorted(dispatches, key=str)]
    among = ", ".join(["%s"] * len(keys))
    wanted = (*OPEN_STATES, State.DISCARDED)
    states = ", ".join(["%s"] * len(wanted))
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {FROZEN} WHERE dispatch IN ({among}) AND NOT EXISTS ("
            f"SELECT 1 FROM {DELIVERY} WHERE {DELIVERY}.dispatch = {FROZEN}.dispatch"
            f" AND state IN ({states}) AND rule NOT IN (%s, %s))",
            [*keys, *(state.value for state in wanted), *WITHOUT_BODY],
        )
        if cursor.rowcount:
            cursor.execute(
                f"DELETE FROM {CONTENT} WHERE dispatch IN ({among}) AND NOT EXISTS ("
                f"SELECT 1 FROM {FROZEN} WHERE {FROZEN}.dispatch = {CONTENT}.dispatch)",
                keys,
            )


def kept_bytes(
    connection: BaseDatabaseWrapper, held: QuerySet[Delivery, Any], *keys: str
) -> dict[tuple[Any, ...], int]:
    """Return the size of the messages kept for these rows, each counted once, by group.

    ``FrozenMessage.objects.filter(dispatch__in=held).values(*keys).annotate(Sum("size"))``,
    if there were a relation between the two.

    Args:
        connection: to the ledger's database.
        held: rows with their ``dispatch`` and the columns to group by.
        keys: these columns; without any there is one group, ``()``.
    """
    compiler = held.distinct().query.get_compiler(connection=connection)
    try:
        query, parameters = compiler.as_sql()
    except EmptyResultSet:  # Django sees that no row can be meant
        return {}
    columns = "".join(f"held.{connection.ops.quote_name(key)}, " for key in keys)
    groups = f" GROUP BY {columns[:-2]}" if keys else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns}COALESCE(SUM(kept.size), 0) FROM ({query}) held"
            f" JOIN {FROZEN} kept ON kept.dispatch = held.dispatch{groups}",
            parameters,
        )
        return {tuple(key): int(size) for *key, size in cursor.fetchall()}


def matching(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], states: Sequence[State]
) -> tuple[str, list[Any]]:
    """Return the condition that rows are still as these entries left them, and its parameters."""
    by_attempt: dict[int, list[Any]] = {}
    for entry in entries:
        by_attempt.setdefault(entry.attempt, []).append(stored_uuid(connection, entry.id))
    alike = [
        f"(attempt = %s AND {DELIVERY}.id IN ({', '.join(['%s'] * len(ids))}))"
        for ids in by_attempt.values()
    ]
    parameters: list[Any] = [state.value for state in states]
    for attempt, ids in by_attempt.items():
        parameters += [attempt, *ids]
    among = ", ".join(["%s"] * len(states))
    return f"state IN ({among}) AND ({' OR '.join(alike)})", parameters


def stored_uuid(connection: BaseDatabaseWrapper, value: UUID | None) -> Any:
    """Return a UUID as this database stores it."""
    if value is None or connection.features.has_native_uuid_field:
        return value
    return value.hex
