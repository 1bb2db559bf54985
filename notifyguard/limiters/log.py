"""The statements of the database limiter, over a connection that the ORM may not know.

A counter is a log: its entries have the places 1 to ``total``, in the order of their
times. All that a limit of N asks is the time of the entry N places from the end.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

COUNTER = "notifyguard_limitcounter"
ENTRY = "notifyguard_limitentry"
CHUNK = 250
"""Ranges of one statement: SQLite refuses conditions that are nested deeper than 1,000."""

# Microseconds since 1970. The limiter's own transaction need not wait for the disk: the
# mark comes after it in the same log, and is durable before anything is handed over.
_NOW = {
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
    " set_config('synchronous_commit', 'off', true)",
    "mysql": "SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6))",
}
_IF_NEW = {"mysql": "ON DUPLICATE KEY UPDATE total = total"}


@dataclass(slots=True)
class Counter:
    """A locked counter: the place of its last entry, and when it was last used."""

    total: int
    used_at: int


class Entry(NamedTuple):
    """A delivery that counts."""

    counter: UUID
    place: int
    delivery: UUID
    at: int


class Range(NamedTuple):
    """Entries of one counter, both ends included."""

    counter: UUID
    first: int
    last: int


def lock(connection: BaseDatabaseWrapper, counters: Iterable[UUID]) -> dict[UUID, Counter]:
    """Lock counters until the end of the transaction, in one order; make those that are new.

    ``LimitCounter.objects.select_for_update().order_by("counter")``.
    """
    wanted = sorted(counters, key=str)
    found = lock_existing(connection, wanted)
    if len(found) < len(wanted):
        new = [counter for counter in wanted if counter not in found]
        values = ", ".join(["(%s, 0, 0)"] * len(new))
        _execute(
            connection,
            f"INSERT INTO {COUNTER} (counter, total, used_at) VALUES {values}"
            f" {_IF_NEW.get(connection.vendor, 'ON CONFLICT DO NOTHING')}",
            uuids(connection, new),
        )
        found = lock_existing(connection, wanted)
    return found


def lock_existing(connection: BaseDatabaseWrapper, counters: Sequence[UUID]) -> dict[UUID, Counter]:
    """Lock those of the counters that exist."""
    if connection.vendor == "sqlite":
        # A write first: a transaction that began by reading would be refused later.
        _execute(connection, f"UPDATE {COUNTER} SET total = total WHERE 1 = 0")
    suffix = "" if connection.vendor == "sqlite" else " FOR UPDATE"
    rows = _execute(
        connection,
        f"SELECT counter, total, used_at FROM {COUNTER}"
        f" WHERE counter IN ({_marks(counters)}) ORDER BY counter{suffix}",
        uuids(connection, counters),
    )
    return {_as_uuid(counter): Counter(total, used_at) for counter, total, used_at in rows}


def now(connection: BaseDatabaseWrapper) -> int:
    """Return the time by the database's own clock, in microseconds; asked for after the locks."""
    query = _NOW.get(connection.vendor)
    if query is None:
        return time.time_ns() // 1000  # SQLite is a file of this host
    return int(_execute(connection, query)[0][0])


def times(connection: BaseDatabaseWrapper, ranges: Sequence[Range]) -> dict[UUID, dict[int, int]]:
    """Return, by counter and place, when the entries in these ranges began to count."""
    found: dict[UUID, dict[int, int]] = {}
    for start in range(0, len(ranges), CHUNK):
        chunk = ranges[start : start + CHUNK]
        where = " OR ".join(["(counter = %s AND place BETWEEN %s AND %s)"] * len(chunk))
        rows = _execute(
            connection,
            f"SELECT counter, place, at FROM {ENTRY} WHERE {where}",
            [value for one in chunk for value in (uuid(connection, one[0]), *one[1:])],
        )
        for counter, place, at in rows:
            found.setdefault(_as_uuid(counter), {})[place] = at
    return found


def append(connection: BaseDatabaseWrapper, entries: Sequence[Entry]) -> None:
    """Add entries: ``LimitEntry.objects.bulk_create(…)``."""
    for start in range(0, len(entries), CHUNK):
        chunk = entries[start : start + CHUNK]
        values = ", ".join(["(%s, %s, %s, %s)"] * len(chunk))
        _execute(
            connection,
            f"INSERT INTO {ENTRY} (counter, place, delivery, at) VALUES {values}",
            [
                value
                for counter, place, delivery, at in chunk
                for value in (uuid(connection, counter), place, uuid(connection, delivery), at)
            ],
        )


def lengthen(
    connection: BaseDatabaseWrapper, added: Mapping[UUID, int], at: Mapping[UUID, int]
) -> None:
    """Write how many entries each counter has more; those that agree in one statement."""
    alike: dict[tuple[int, int], list[UUID]] = {}
    for counter, number in added.items():
        alike.setdefault((number, at[counter]), []).append(counter)
    for (number, moment), counters in alike.items():
        _execute(
            connection,
            f"UPDATE {COUNTER} SET total = total + %s, used_at = %s"
            f" WHERE counter IN ({_marks(counters)})",
            [number, moment, *uuids(connection, counters)],
        )


def remove(connection: BaseDatabaseWrapper, counter: UUID, delivery: UUID) -> None:
    """Take a delivery out of the log of a locked counter; those after it move up."""
    log = uuid(connection, counter)
    found = _execute(
        connection,
        f"SELECT place FROM {ENTRY} WHERE counter = %s AND delivery = %s"
        " ORDER BY place DESC LIMIT 1",
        [log, uuid(connection, delivery)],
    )
    for (place,) in found:
        _execute(connection, f"DELETE FROM {ENTRY} WHERE counter = %s AND place = %s", [log, place])
        _execute(
            connection,
            f"UPDATE {ENTRY} SET place = place - 1 WHERE counter = %s AND place > %s",
            [log, place],
        )
        _execute(connection, f"UPDATE {COUNTER} SET total = total - 1 WHERE counter = %s", [log])


def renew(
    connection: BaseDatabaseWrapper, counter: UUID, deliveries: Collection[UUID], at: int
) -> None:
    """Move deliveries to the end of the log of a locked counter, at this time."""
    log = uuid(connection, counter)
    found = _execute(
        connection,
        f"SELECT min(place) FROM {ENTRY}"
        f" WHERE counter = %s AND delivery IN ({_marks(list(deliveries))})",
        [log, *uuids(connection, deliveries)],
    )
    first = found[0][0]
    if first is None:
        return
    behind = _entries(connection, counter, "place", first)
    stay = [entry for entry in behind if entry.delivery not in deliveries]
    move = [entry._replace(at=at) for entry in behind if entry.delivery in deliveries]
    moved = [entry._replace(place=first + nth) for nth, entry in enumerate([*stay, *move])]
    replace(connection, counter, first - 1, moved)
    _execute(connection, f"UPDATE {COUNTER} SET used_at = %s WHERE counter = %s", [at, log])


def since(connection: BaseDatabaseWrapper, counter: UUID, at: int) -> list[Entry]:
    """Return the entries of a counter from this time on, in the order of their places."""
    return _entries(connection, counter, "at", at)


def _entries(
    connection: BaseDatabaseWrapper, counter: UUID, column: str, least: int
) -> list[Entry]:
    rows = _execute(
        connection,
        f"SELECT place, delivery, at FROM {ENTRY}"
        f" WHERE counter = %s AND {column} >= %s ORDER BY place",
        [uuid(connection, counter), least],
    )
    return [Entry(counter, place, _as_uuid(delivery), moment) for place, delivery, moment in rows]


def replace(
    connection: BaseDatabaseWrapper, counter: UUID, before: int, entries: Sequence[Entry]
) -> None:
    """Put these entries in place of all that come after the place ``before``."""
    log = uuid(connection, counter)
    _execute(connection, f"DELETE FROM {ENTRY} WHERE counter = %s AND place > %s", [log, before])
    append(connection, entries)
    total = before + len(entries)
    _execute(connection, f"UPDATE {COUNTER} SET total = %s WHERE counter = %s", [total, log])


def uuid(connection: BaseDatabaseWrapper, value: UUID) -> Any:
    """Return an identifier as the database takes it."""
    return value if connection.features.has_native_uuid_field else value.hex


def uuids(connection: BaseDatabaseWrapper, values: Iterable[UUID]) -> list[Any]:
    return [uuid(connection, value) for value in values]


def _execute(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _as_uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
