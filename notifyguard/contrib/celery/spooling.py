"""What stands in for kombu's producer where a task is spooled.

Celery does all that it does to publish, its signals included, and hands the finished message
to ``publish``: so what is kept is the very message that would have left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import Error as DatabaseFailure

from notifyguard.contrib.celery import envelope, spool
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import loop

logger = logging.getLogger("notifyguard")

_failing = False


class SpoolingProducer:
    """A producer that spools one task, and is the caller's own for all else.

    Args:
        app: Celery's.
        producer: that Celery would use.
        name: of the task.
        message: Celery's tuple of headers, properties, body and event.
        due_at: its ETA, with its time zone.
        call_site: where it was sent from.
    """

    def __init__(
        self, app: Any, producer: Any, name: str, message: Any, due_at: datetime, call_site: str
    ) -> None:
        self._producer = producer
        self._headers, properties, _, _ = message
        self._keep = partial(
            spool.keep,
            app=app.main or "",
            task_id=str(properties.get("correlation_id") or self._headers.get("id")),
            name=name,
            due_at=due_at,
            call_site=call_site,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, **options: Any) -> Any:
        """Keep the task; if that fails, hand it to the broker: far is better than lost.

        An event that tells monitors of it goes its own way; where no broker is, Celery keeps it.
        """
        is_the_task = options.get("headers") is self._headers
        if is_the_task and _kept(self._keep, body, options):
            return None
        return self._producer.publish(body, **options)


def _kept(keep: Callable[..., None], body: Any, options: dict[str, Any]) -> bool:
    global _failing
    try:
        message = envelope.written(body, options)
        loop.run(lambda: keep(message=message))
    except (DatabaseFailure, LedgerUnavailable, TypeError, ValueError, OverflowError) as error:
        if not _failing:
            _failing = True
            # The first line names the fault; those after it show the row.
            logger.error(_NOT_SPOOLED, type(error).__name__, str(error).partition("\n")[0])
        return False
    _failing = False
    return True


_NOT_SPOOLED = (
    "notifyguard: a task cannot be spooled (%s: %s). It goes to the broker, which may hand it out "
    "again and again, or drop it, before it is due. This is not said again until one was spooled."
)
