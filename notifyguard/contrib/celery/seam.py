"""Where Celery passes notifyguard: its one way to publish, and its stack of running tasks."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import signals
from celery.app.amqp import AMQP

from notifyguard import context
from notifyguard.contrib.celery import failures, publishing, running

_own = AMQP.__dict__["send_task_message"]


class _Guarded:
    """``AMQP.send_task_message``: Celery's own, with ``publishing.publish`` before it.

    A data descriptor, since Celery keeps its own on the instance once it was used.
    """

    def __get__(self, amqp: Any, owner: type | None = None) -> Any:
        if amqp is None:
            return self
        return partial(publishing.publish, _own.__get__(amqp, owner), amqp)

    def __set__(self, amqp: Any, sender: Any) -> None:
        _own.__set__(amqp, sender)


def install() -> None:
    """Stand at all of them; a second call does nothing."""
    context.arrive_by(running.arrived)
    AMQP.send_task_message = _Guarded()
    signals.task_prerun.connect(running.started)
    signals.beat_init.connect(publishing.is_beat)
    signals.beat_embedded_init.connect(publishing.is_beat)
    failures.install()
