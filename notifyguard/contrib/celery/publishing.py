"""Every task message on its way to the broker passes here, finished and not yet sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from notifyguard import conf, context
from notifyguard.channels import inference
from notifyguard.context import Ambient, travelling
from notifyguard.context.travelling import Said
from notifyguard.contrib.celery import embedding, far, lateness
from notifyguard.contrib.celery.header import HEADER

_in_beat = False


def publish(
    send: Callable[..., Any], amqp: Any, producer: Any, name: str, message: Any, **options: Any
) -> Any:
    """Write on a message what the running code says, and send it; a far one may be spooled.

    Args:
        send: Celery's own ``send_task_message``.
        amqp: of the Celery app that publishes.
        producer: of kombu.
        name: of the task.
        message: Celery's tuple of headers, properties, body and the event that tells of it.
        options: where and how it is sent.
    """
    if conf.current().mode != "bypass":
        headers = dict(options.get("headers") or {})
        eta = lateness.eta_of(message, amqp.app.timezone)
        said = _said(name, message, eta, headers.get(HEADER))
        options["headers"] = headers | {HEADER: travelling.written(said)}
        message = message._replace(body=embedding.body_with(message.body, said))
        if eta is not None:
            exchange = options.get("exchange")
            producer = far.producer_for(amqp.app, producer, name, message, eta, exchange)
    return send(producer, name, message, **options)


def is_beat(**_: Any) -> None:
    """Note that this process is Celery's beat: nobody has begun what it publishes."""
    global _in_beat
    _in_beat = True


def _said(name: str, message: Any, eta: datetime | None, carried: object) -> Said:
    now = datetime.now(UTC)
    ambient = context.current()
    said = travelling.said_by(ambient, _origin(ambient), now)
    if carried is not None:
        said = travelling.joined(travelling.read(carried), said)
    due = lateness.due(name, _id(message), eta, ambient.task, now)
    return replace(said, due_at=due.at, behind=due.behind)


def _origin(ambient: Ambient) -> str:
    if ambient.task or ambient.origin:
        return ambient.origin
    return "" if _in_beat else inference.whence().origin


def _id(message: Any) -> str:
    return str((message.body if isinstance(message.body, dict) else message.headers).get("id"))
