"""How far ahead a broker can hold a task that waits for its ETA, and what happens beyond it.

A worker takes such a task at once and keeps it unacknowledged until it is due. Redis and SQS
give it to another worker when the visibility timeout is over; RabbitMQ closes the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from notifyguard import conf

NEAR = 0.9
"""Of what a broker can hold this share is used: clocks differ, and the task takes its time."""

VISIBILITY = 'broker_transport_options["visibility_timeout"]'
_LONGEST = 100 * 365 * 86_400.0
"""Seconds; who writes infinity, or more than a date can tell, means for ever."""
CONSUMER = 'consumer_timeout of RabbitMQ, and NOTIFYGUARD["CELERY"]["consumer_timeout"]'


@dataclass(frozen=True, slots=True)
class Reach:
    """What a broker can hold.

    Attributes:
        broker: the kind of it, ``redis``.
        time: for how long a worker may keep a task unacknowledged.
        setting: that says so.
        harm: what happens to a task that is kept for longer.
    """

    broker: str
    time: timedelta
    setting: str
    harm: str

    @property
    def far(self) -> timedelta:
        """The distance beyond which an ETA is too far."""
        return self.time * NEAR


def reach_of(connection: Any) -> Reach | None:
    """Return what the broker behind a connection can hold; ``None`` if nothing is known of one.

    Nothing is connected.

    Args:
        connection: of kombu.

    Raises:
        ImportError: what the transport needs is not installed.
    """
    transport = connection.get_transport_cls()
    if transport.driver_type == "amqp":
        return _until_consumer_timeout()
    seconds = _visibility_timeout(transport, connection.transport_options)
    if seconds is None:
        return None
    return Reach(
        transport.driver_type,
        timedelta(seconds=seconds),
        VISIBILITY,
        "it is handed out again and again, and runs as often",
    )


def _until_consumer_timeout() -> Reach | None:
    # No client can ask the server for it.
    timeout = conf.current().celery.consumer_timeout
    if timeout is None:
        return None
    harm = "RabbitMQ closes the worker's channel, and it may never run"
    return Reach("rabbitmq", timeout, CONSUMER, harm)


def _visibility_timeout(transport: Any, options: Mapping[str, Any]) -> float | None:
    """Return it in seconds, as kombu reads it; ``None`` where there is no such thing."""
    channel = getattr(transport, "Channel", None)
    kombus_own = getattr(channel, "default_visibility_timeout", None)
    if kombus_own is None:
        kombus_own = getattr(channel, "visibility_timeout", None)
    if not isinstance(kombus_own, (int, float)):
        return None
    given = options.get("visibility_timeout")
    try:
        seconds = kombus_own if given in (None, "") else float(given)
    except (TypeError, ValueError):
        return None  # kombu can reckon with it no more than we can, and says so in the worker
    return min(_LONGEST, seconds)
