"""One line that has beat do what otherwise cron and ``notifyguard sweep --loop`` do."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab


def beat_schedule(
    *, sweep: int = 10, publish: int = 10, heartbeat: int = 15
) -> dict[str, dict[str, Any]]:
    """Return the entries of beat's schedule that notifyguard needs, by name.

    In the settings: ``CELERY_BEAT_SCHEDULE = beat_schedule() | {...}``. Imported from there,
    it needs no app to be ready. Any scheduler may work with it.

    Args:
        sweep: seconds between two deliveries of what is due.
        publish: seconds between two looks for spooled tasks that are due.
        heartbeat: seconds between two heartbeats of beat.
    """
    return {
        "notifyguard.sweep": _again("notifyguard.sweep", sweep),
        # A sweep publishes too, once it has delivered; what is many must not make tasks late.
        "notifyguard.publish_spooled": {
            "task": "notifyguard.publish_spooled",
            "schedule": float(publish),
        },
        "notifyguard.heartbeat": _again("notifyguard.heartbeat", heartbeat),
        "notifyguard.prune": {"task": "notifyguard.prune", "schedule": crontab("17", "3")},
    }


def _again(task: str, every: int) -> dict[str, Any]:
    return {"task": task, "schedule": float(every), "kwargs": {"every": every}}
