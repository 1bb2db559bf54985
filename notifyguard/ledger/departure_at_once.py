"""PostgreSQL: a queued delivery that nobody else has the key of leaves in one statement."""

from __future__ import annotations

from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard.decision import State
from notifyguard.identity import instance
from notifyguard.ledger.at_once import CLAIMING, LOCKED
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.rows import WAITING
from notifyguard.ledger.statements import DELIVERY, MARK, matching

_WON = "(waiting.idempotency_key IS NULL OR waiting.id IN (SELECT delivery FROM claimed))"


def start(
    connection: BaseDatabaseWrapper,
    entry: Entry,
    generation: int,
    at: datetime,
    lease_ends: datetime,
) -> bool:
    """Claim and mark one queued delivery in one round trip and one commit.

    What ``departure`` does in steps when it finds the key free. The row is locked first:
    a key must not be claimed for what another process ends at this moment.

    Args:
        connection: in autocommit.
        entry: ``queued``, or ``claimed`` by ``take``.
        generation: of the board its decision was made under.
        at: the time by the database's clock.
        lease_ends: when a sweeper may call it uncertain.

    Returns:
        Whether it may be handed over. If not, nothing was written: the key is taken, the
        row is not ours any more, or a switch was set.
    """
    where, parameters = matching(connection, [entry], WAITING)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH {LOCKED},
            waiting AS (
                SELECT id, idempotency_key, fingerprint FROM {DELIVERY} WHERE {where} FOR UPDATE),
            claimed AS (
                {CLAIMING}
                SELECT idempotency_key, id, fingerprint, 0, %s FROM waiting, control
                WHERE generation = %s AND idempotency_key IS NOT NULL
                ON CONFLICT (idempotency_key) DO NOTHING RETURNING delivery)
            UPDATE {DELIVERY} SET {MARK}, attempt = attempt + 1
            FROM waiting, control
            WHERE generation = %s AND {DELIVERY}.id = waiting.id AND {_WON}""",
            [
                *(*parameters, at, generation),
                *(State.IN_FLIGHT.value, at, instance(), entry.message_id, lease_ends),
                generation,
            ],
        )
        return bool(cursor.rowcount == 1)
