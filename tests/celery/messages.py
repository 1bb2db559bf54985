"""The messages that lie in a queue, as whoever takes them gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import celery
from kombu import Queue

# Of one hand-over, not of the message; and what RabbitMQ says twice.
_LEFT_OUT = ("delivery_tag", "redelivered", "message_count", "application_headers")


@dataclass(frozen=True)
class Message:
    """A message that was taken.

    Attributes:
        body: the very bytes.
        properties: with what the broker says of its way: exchange and routing key.
    """

    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    content: tuple[str, str]

    @property
    def id(self) -> str:
        return str(self.headers.get("id") or self.properties["correlation_id"])


def take_all(app: celery.Celery, queue: str) -> list[Message]:
    """Take everything out of a queue."""
    with app.connection_for_read() as connection:
        bound = Queue(queue)(connection.default_channel)
        found = []
        while (message := bound.get(no_ack=True)) is not None:
            found.append(_message(message))
        return found


def _message(message: Any) -> Message:
    way = {**message.delivery_info, **message.properties}
    way |= way.pop("delivery_info", {})
    return Message(
        bytes(message.body) if not isinstance(message.body, str) else message.body.encode(),
        dict(message.headers),
        {name: value for name, value in way.items() if name not in _LEFT_OUT},
        (message.content_type, message.content_encoding),
    )
