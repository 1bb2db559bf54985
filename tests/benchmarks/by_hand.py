"""Claim and confirm as somebody would write them by hand, on the database's own driver.

One narrow table, two statements, two commits: no switch, no lease, no attempt, no record of who
sent what. The least that can keep a message from leaving twice.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection

_UUID = {"postgresql": "uuid", "mysql": "uuid", "sqlite": "text"}
_TABLE = """CREATE TABLE by_hand (
    idempotency_key {uuid} PRIMARY KEY, recipient varchar(320), state varchar(10),
    claimed_at {time}, sent_at {time})"""
_IGNORED = {"mysql": "ON DUPLICATE KEY UPDATE idempotency_key = idempotency_key"}
_CLAIM = """INSERT INTO by_hand (idempotency_key, recipient, state, claimed_at)
    VALUES (%s, %s, 'claimed', CURRENT_TIMESTAMP) {ignored}"""
_CONFIRM = """UPDATE by_hand SET state = 'sent', sent_at = CURRENT_TIMESTAMP
    WHERE idempotency_key = %s AND state = 'claimed'"""


class ByHand:
    """A table and a connection of its own, in autocommit."""

    def __init__(self) -> None:
        vendor = connection.vendor
        self._connection = _connected(vendor)
        place = "?" if vendor == "sqlite" else "%s"
        ignored = _IGNORED.get(vendor, "ON CONFLICT DO NOTHING")
        self._claim = _CLAIM.format(ignored=ignored).replace("%s", place)
        self._confirm = _CONFIRM.replace("%s", place)
        time = "timestamptz" if vendor == "postgresql" else "datetime"
        self._cursor = self._connection.cursor()
        self._cursor.execute(_TABLE.format(uuid=_UUID[vendor], time=time))

    def claim_and_confirm(self, key: uuid.UUID, recipient: str) -> bool:
        """Take a key and confirm it: two commits."""
        claimed = self.claim(key, recipient)
        self._cursor.execute(self._confirm, (_name(key),))
        return claimed and bool(self._cursor.rowcount == 1)

    def claim(self, key: uuid.UUID, recipient: str) -> bool:
        """Take a key: one commit."""
        self._cursor.execute(self._claim, (_name(key), recipient))
        return bool(self._cursor.rowcount == 1)

    def select_one(self) -> bool:
        """Ask the database for nothing: what a round trip costs."""
        self._cursor.execute("SELECT 1")
        return bool(self._cursor.fetchone()[0] == 1)

    def close(self) -> None:
        self._connection.close()


def _name(key: uuid.UUID) -> Any:
    # psycopg knows UUIDs; the other drivers take text.
    return key if connection.vendor == "postgresql" else str(key)


def _connected(vendor: str) -> Any:
    settings = connection.settings_dict
    where = {"host": settings["HOST"], "port": int(settings["PORT"] or 0), "user": settings["USER"]}
    if vendor == "postgresql":
        import psycopg

        more = {"password": settings["PASSWORD"], "dbname": settings["NAME"]}
        return psycopg.connect(**where, **more, autocommit=True)
    if vendor == "mysql":
        import MySQLdb

        more = {"passwd": settings["PASSWORD"], "db": settings["NAME"]}
        return MySQLdb.connect(**where, **more, autocommit=True)
    import sqlite3

    return sqlite3.connect(settings["NAME"], isolation_level=None, timeout=20)
