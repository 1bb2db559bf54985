"""The statement that takes keys, where one statement cannot do all that a record needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard.ledger.entry import Entry, Taken
from notifyguard.ledger.statements import CLAIM, stored_uuid

AT_ONCE = 1000
"""Claims in one statement: SQLite as it is built by default takes 32,766 parameters."""

# Changes nothing and locks the claim that was met, so that it stays until the commit.
# Never INSERT IGNORE: it turns a refused value into NULL, and uniqueness is gone.
_ON_CONFLICT = f"ON CONFLICT (idempotency_key) DO UPDATE SET duplicates = {CLAIM}.duplicates"
_ON_TAKEN_KEY = {"mysql": "ON DUPLICATE KEY UPDATE duplicates = duplicates"}


def claim(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], at: datetime
) -> dict[UUID, Taken]:
    """Claim the keys of the entries; return who holds each key, locked until the commit.

    ``Claim.objects.bulk_create(…, ignore_conflicts=True)``, but for the lock. Sorted
    by key: two processes that claim the same keys in different orders deadlock.

    Args:
        connection: in a transaction.
        entries: all with a key, no key twice.
        at: the time by the database's clock.
    """
    ordered = sorted(entries, key=lambda entry: str(entry.key))
    taken: dict[UUID, Taken] = {}
    for start in range(0, len(ordered), AT_ONCE):
        taken |= _claim_in_order(connection, ordered[start : start + AT_ONCE], at)
    return taken


def _claim_in_order(
    connection: BaseDatabaseWrapper, ordered: Sequence[Entry], at: datetime
) -> dict[UUID, Taken]:
    moment = connection.ops.adapt_datetimefield_value(at)
    rows = [
        [stored_uuid(connection, value) for value in (entry.key, entry.id, entry.fingerprint)]
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
            f"SELECT idempotency_key, delivery, fingerprint FROM {CLAIM}"
            f" WHERE idempotency_key IN ({marks}){lock}",
            [row[0] for row in rows],
        )
        return {
            _as_uuid(key): Taken(_as_uuid(delivery), content and _as_uuid(content))
            for key, delivery, content in cursor.fetchall()
        }


def _as_uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
