"""Every task message on its way to the broker passes here, finished and not yet sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from notifyguard import conf, context
from notifyguard.channels import inference
from notifyguard.contrib.celery import header


def publish(
    send: Callable[..., Any], producer: Any, name: str, message: Any, **options: Any
) -> Any:
    """Write on a message what the running code says, and send it.

    Args:
        send: Celery's own ``send_task_message``.
        producer: of kombu.
        name: of the task.
        message: Celery's tuple of headers, properties, body and the event that tells of it.
        options: where and how it is sent.
    """
    if conf.current().mode != "bypass":
        options["headers"] = _with_header(message, options.get("headers"))
    return send(producer, name, message, **options)


def _with_header(message: Any, given: dict[str, Any] | None) -> dict[str, Any]:
    headers: dict[str, Any] = dict(given or {})
    now = datetime.now(UTC)
    ambient = context.current()
    origin = ambient.origin or ("task" if ambient.task else inference.whence().origin)
    said = header.said_by(ambient, origin, now)
    if (carried := headers.get(header.HEADER)) is not None:
        said = header.joined(header.read(carried), said)
    headers[header.HEADER] = header.written(said)
    return headers
