"""What the ledger says, counted for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min

from notifyguard import clock, conf, database, switchboard
from notifyguard.decision import Sending, State
from notifyguard.ledger import leases, rows, schedule
from notifyguard.models import Switch
from notifyguard.switchboard import Ruling

SILENT_AFTER = timedelta(minutes=5)
"""A sweeper that has not run for so long, while rows wait for it, is missing."""


def waiting() -> list[dict[str, Any]]:
    """Count what waits for a process or a person, by ``state``.

    What is scheduled waits for its time and for nobody else: ``schedule.planned_by_type``.

    Returns:
        Dicts with ``state``, ``deliveries`` and ``oldest``.
    """
    # Row by row, and no list of what is planned: of many PostgreSQL would search it for each row.
    planned = schedule.is_planned(clock.now(database.connection()))
    counted = leases.waiting().exclude(planned).order_by("state").values("state")
    return [{**each} for each in counted.annotate(deliveries=Count("id"), oldest=Min("created_at"))]


def since(at: datetime) -> list[dict[str, Any]]:
    """Count the deliveries that began at this time or later, by ``type``, ``state`` and ``rule``.

    Returns:
        Dicts with ``type``, ``state``, ``rule``, ``deliveries``, ``messages`` and
        ``people`` (different recipients).
    """
    begun = rows.deliveries(database.connection()).filter(rows.begun_since(at))
    counted = begun.order_by("type", "state", "rule").values("type", "state", "rule")
    counted = counted.annotate(
        deliveries=Count("id"),
        messages=Count("dispatch", distinct=True),
        people=Count("recipient", distinct=True),
    )
    return [{**each} for each in counted]


def people_kept_back(at: datetime) -> int:
    """Count the people to whom something began since then that was held or discarded."""
    begun = rows.deliveries(database.connection()).filter(rows.begun_since(at))
    kept_back = begun.filter(state__in=[State.HELD, State.DISCARDED])
    return kept_back.order_by().values("recipient").distinct().count()


def switches() -> list[Switch]:
    """Return the switches of the database, those that have ended too."""
    return list(Switch.objects.using(database.alias()))


def stopping() -> list[Ruling]:
    """Return every switch that stops anything now, whatever its source."""
    settings, now = conf.current(), clock.now(database.connection())
    environment = settings.environment_sending
    found = [
        Ruling(settings.sending, "settings", "SENDING"),
        *([Ruling(environment, "environment", "NOTIFYGUARD_SENDING")] if environment else []),
        *(
            Ruling(options["sending"], "settings", f'TYPES["{name}"]')
            for name, options in settings.types.items()
            if options.get("sending")
        ),
        *(
            ruling
            for ruling in switchboard.board(fresh=True).rulings
            if ruling.expires_at is None or ruling.expires_at > now
        ),
    ]
    return [ruling for ruling in found if ruling.sending is not Sending.OPEN]


def states_of(ids: Sequence[UUID]) -> dict[str, int]:
    """Count these deliveries by state."""
    found = rows.deliveries(database.connection()).filter(id__in=ids).order_by()
    return dict(found.values_list("state").annotate(Count("id")))


def suppressed_since(at: datetime, reason: str) -> dict[str, int]:
    """Count what was suppressed for this reason since then, by type."""
    begun = rows.deliveries(database.connection()).filter(rows.begun_since(at))
    told = begun.filter(state=State.DISCARDED, rule="suppressed", reason=reason[:500])
    return dict(told.order_by("type").values_list("type").annotate(Count("id")))


def sweeper_is_missing() -> bool:
    """Tell whether messages are due and no sweeper has run for five minutes."""
    now = clock.now(database.connection())
    swept = leases.last_sweep()
    if swept is not None and swept.ran_at > now - SILENT_AFTER:
        return False
    return leases.waiting().filter(rows.due(now), state=State.QUEUED).exists()
