"""What has to run again and again, as tasks: registered by ``beat_schedule``.

They are acknowledged before they run, so that none is delivered again while it works, and
each ends after a while: what is left is done by the next.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from celery import shared_task

from notifyguard import clock, context, database, heartbeats, sweeper
from notifyguard.contrib.celery import due
from notifyguard.heartbeats import Kind, Pulse
from notifyguard.ledger import retention

SWEEPS_FOR = 60
"""Seconds after which a sweep leaves the rest to the next."""

PRUNES_FOR = 600
"""Seconds after which what is still too old is left to the next day."""

EXPIRES = 300
"""Seconds after which one that no worker has taken is not worth doing: others came since.

On the task and not on its entry of the schedule, so that every scheduler obeys it.
"""

_UPKEEP: dict[str, Any] = {"ignore_result": True, "acks_late": False, "expires": EXPIRES}


@shared_task(name="notifyguard.sweep", **_UPKEEP)
def sweep(every: int) -> None:
    """Deliver what is due, for a minute at most.

    Args:
        every: seconds until the next is asked for.
    """
    until = time.monotonic() + SWEEPS_FOR
    pulse = Pulse(Kind.SWEEPER, sweep.name, every)

    def go_on(delivered: int = 0) -> bool:
        pulse.beat()
        return time.monotonic() < until

    sweeper.sweep(go_on)


@shared_task(name="notifyguard.prune", **_UPKEEP)
def prune() -> None:
    """Delete what is older than ``RETENTION`` says, for ten minutes at most."""
    until = time.monotonic() + PRUNES_FOR
    for part in retention.parts():
        with closing(part.prune()) as pruning:
            for _ended in pruning:
                if time.monotonic() > until:
                    return


@shared_task(name="notifyguard.heartbeat", bind=True, **_UPKEEP)
def heartbeat(self: Any, every: int) -> None:
    """Write down when beat published this, however late it is read.

    Args:
        every: seconds until beat publishes the next.
    """
    # "gen4711@host": with the number of its process, each start of beat would be another one.
    _, _, host = str(self.request.origin).rpartition("@")
    heartbeats.record(Kind.BEAT, f"beat@{host}", every, at=_published_at())


@shared_task(name="notifyguard.publish_spooled", **_UPKEEP)
def publish_spooled() -> int:
    """Publish the spooled tasks that are due, for a minute at most; ``notifyguard.sweep`` does too.

    Returns:
        How many were published.
    """
    until = time.monotonic() + SWEEPS_FOR
    return due.publish_due(lambda: time.monotonic() < until)


def _published_at() -> datetime:
    now, task = clock.now(database.connection()), context.current().task
    if task is None or task.due_at is None:
        return now
    return min(now, now - (datetime.now(UTC) - task.due_at))
