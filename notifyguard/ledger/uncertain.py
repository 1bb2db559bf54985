"""Deliveries whose fate nobody knows, until a person has found out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from uuid import UUID

from django.db.models import Q, QuerySet

from notifyguard import clock, conf, database
from notifyguard.decision import State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import deeds, leases, rows, statements
from notifyguard.models import Delivery


class Finding(Enum):
    """What a person found out, and the state that the delivery ends in."""

    SENT = State.SENT
    NOT_SENT = State.FAILED
    GIVE_UP = State.EXPIRED


_SAID = {
    Finding.SENT: "It was sent",
    Finding.NOT_SENT: "It was not sent",
    Finding.GIVE_UP: "Given up, its fate is not known",
}


def uncertain() -> QuerySet[Delivery, Delivery]:
    """Return the uncertain deliveries, the oldest first."""
    return leases.waiting().filter(state=State.UNCERTAIN)


def resolve(ids: Sequence[UUID], finding: Finding, *, reason: str, actor: str) -> int:
    """Write down what became of uncertain deliveries: all of them, or none.

    ``NOT_SENT`` frees the key, so that the message can be sent again; the two
    others keep it taken. A delivery whose lease ran out may be resolved before
    the sweeper has called it uncertain.

    Args:
        ids: the deliveries.
        finding: what the person found out.
        reason: where and how.
        actor: who, as text.

    Returns:
        How many deliveries were resolved.

    Raises:
        NotAllowed: a delivery is not uncertain, or reason or actor is missing.
    """
    reason, actor = deeds.accountable(reason, actor)

    def write() -> int:
        with database.short_transaction():
            for delivery in sorted(set(ids)):
                _resolve_one(delivery, finding, reason, actor)
        return len(set(ids))

    return database.retrying(write)


def _resolve_one(delivery: UUID, finding: Finding, reason: str, actor: str) -> None:
    connection = database.connection()
    found = rows.deliveries(connection).filter(id=delivery)
    state = finding.value
    changed = found.filter(_open_to_findings()).update(
        state=state,
        rule="resolved",
        reason=f"{_SAID[finding]}, by {actor}: {reason}"[:500],
        changed_at=clock.now(connection),
        wake_at=None,
    )
    row = found.first()
    if not changed or row is None:
        raise NotAllowed(_refusal(delivery, row))
    if finding is Finding.NOT_SENT:
        rows.free(connection, [rows.entry_of(row)])
    statements.drop_if_done(connection, row.dispatch)
    deeds.record(
        "resolve",
        str(delivery),
        reason=reason,
        actor=actor,
        before=State.UNCERTAIN,
        after=state,
        count=1,
    )


def _open_to_findings() -> Q:
    now = clock.now(database.connection())
    lapsed = Q(wake_at__lte=now) | Q(
        wake_at__isnull=True, changed_at__lt=now - timedelta(seconds=conf.current().lease)
    )
    return Q(state=State.UNCERTAIN) | Q(state=State.IN_FLIGHT) & lapsed


def _refusal(delivery: UUID, row: Delivery | None) -> str:
    if row is None:
        return f"There is no delivery {delivery}. Nothing was resolved."
    if row.state == State.IN_FLIGHT:
        return f"Delivery {delivery} is being handed over right now. Nothing was resolved."
    return f"Delivery {delivery} is {row.state}, not uncertain. Nothing was resolved."
