"""Filling the ledger, so that a measure is taken at the size of a ledger in use."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

STEP = 1_000_000
"""Rows of one statement, so that a large fill can be watched and holds no huge transaction."""

DAYS = 91
"""What the rows span: 90 days are kept, so there is a day's work for ``prune``."""

_DELIVERY = """INSERT INTO notifyguard_delivery
    (id, dispatch, idempotency_key, type, recipient, state, attempt, rule, reason, origin,
     call_site, task_id, instance, backend, subject, message_id, created_at, changed_at, wake_at)
    SELECT {delivery}, {delivery}, {key}, {type}, {recipient}, 'sent', 1, '', '', 'web',
     'tickets.signals.notify_owner', '', 'host-1/1a2b3c4d/4711', 'default',
     'A ticket was modified', {message_id}, {time}, {time}, NULL FROM {series}"""
_CLAIM = """INSERT INTO notifyguard_claim
    (idempotency_key, delivery, fingerprint, duplicates, claimed_at)
    SELECT {key}, {delivery}, {key}, 0, {time} FROM {series} ORDER BY 1"""
_BY_HAND = """INSERT INTO by_hand (idempotency_key, recipient, state, claimed_at, sent_at)
    SELECT {key}, {recipient}, 'sent', {time}, {time} FROM {series} ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class _Words:
    """How a database says it; ``i`` is the number of the row."""

    series: str
    hexadecimal: str  # of its time in milliseconds, 12 digits: identifiers begin so
    digest: str  # 32 hexadecimal digits that have nothing to do with their neighbours
    uuid: str
    text: str
    time: str  # evenly over ``DAYS`` days, the last of them a minute ago


_VENDORS = {
    "postgresql": _Words(
        series="generate_series({first}, {last}) AS s(i)",
        hexadecimal="lpad(to_hex(((extract(epoch FROM now()) - ({age})) * 1000)::bigint), 12, '0')",
        digest="md5(i::text)",
        uuid="({})::uuid",
        text="'{}' || {} || '{}'",
        time="now() - (interval '1 second') * ({age})",
    ),
    "mysql": _Words(
        series="(SELECT seq AS i FROM seq_{first}_to_{last}) AS s",
        hexadecimal="lower(lpad(hex(floor((unix_timestamp() - ({age})) * 1000)), 12, '0'))",
        digest="md5(i)",
        uuid="{}",
        text="concat('{}', {}, '{}')",
        time="utc_timestamp(6) - INTERVAL ({age}) SECOND",
    ),
    "sqlite": _Words(
        series="(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n"
        " WHERE i < {last}) SELECT i FROM n) AS s",
        hexadecimal="printf('%012x', CAST((strftime('%s', 'now') - ({age})) * 1000 AS integer))",
        digest="md5(CAST(i AS text))",  # Django's: SQLite has none
        uuid="{}",
        text="'{}' || {} || '{}'",
        time="datetime('now', '-' || ({age}) || ' seconds')",
    ),
}


def fill(rows: int, *, by_hand: bool = True) -> None:
    """Add so many deliveries, with their claims, and as many rows to the table by hand."""
    statements = (_DELIVERY, _CLAIM, _BY_HAND)[: 3 if by_hand else 2]
    for first in range(1, rows + 1, STEP):
        last = min(first + STEP - 1, rows)
        for statement in statements:
            with connection.cursor() as cursor:
                cursor.execute(statement.format(**_parts(first, last, rows)))
        print(f"filled {last:,} of {rows:,} rows", flush=True)
    if rows:
        settle("notifyguard_delivery", "notifyguard_claim", *(["by_hand"] if by_hand else []))


def _parts(first: int, last: int, rows: int) -> dict[str, str]:
    words = _VENDORS[connection.vendor]
    age = f"({rows} - i) * {DAYS * 86_400 / rows} + 60"  # in seconds
    digest, hexadecimal = words.digest, words.hexadecimal.format(age=age)
    return {
        "series": words.series.format(first=first, last=last),
        "delivery": words.uuid.format(_uuid(hexadecimal, digest, "7")),
        "key": words.uuid.format(_uuid(f"substr({digest}, 1, 12)", digest, "5")),
        "type": words.text.format("ticket.", "i % 20", ""),
        "recipient": words.text.format("person", "i % 500000", "@example.com"),
        "message_id": words.text.format("<", digest, "@mail.example.com>"),
        "time": words.time.format(age=age),
    }


def _uuid(head: str, digest: str, version: str) -> str:
    parts = (head, f"'{version}'", f"substr({digest}, 14, 3)", "'8'", f"substr({digest}, 18)")
    if connection.vendor == "mysql":
        return f"concat({', '.join(parts)})"
    return " || ".join(parts)


def settle(*tables: str) -> None:
    """Do what the database would have done by itself long ago."""
    words = {"postgresql": "VACUUM ANALYZE {}", "mysql": "ANALYZE TABLE {}", "sqlite": "ANALYZE {}"}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(words[connection.vendor].format(table))
        if connection.vendor == "postgresql":
            cursor.execute("CHECKPOINT")
