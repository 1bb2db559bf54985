"""Where Celery passes notifyguard: its one way to publish, one to revoke, and its running tasks."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

from celery import signals
from celery.app.amqp import AMQP
from celery.app.control import Control

from notifyguard import context
from notifyguard.contrib.celery import failures, publishing, revoking, running

_own = AMQP.__dict__["send_task_message"]
_own_broadcast = Control.broadcast


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


@wraps(_own_broadcast)
def _broadcast(
    control: Any, command: str, arguments: dict[str, Any] | None = None, *args: Any, **more: Any
) -> Any:
    revoking.look_at(command, {**(arguments or {}), **more})
    return _own_broadcast(control, command, arguments, *args, **more)


def install() -> None:
    """Stand at all of them; a second call does nothing."""
    context.arrive_by(running.arrived)
    AMQP.send_task_message = _Guarded()
    Control.broadcast = _broadcast
    signals.task_prerun.connect(running.started)
    signals.beat_init.connect(publishing.is_beat)
    signals.beat_embedded_init.connect(publishing.is_beat)
    failures.install()
