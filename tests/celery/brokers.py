"""The brokers of the tests: a Redis of their own, and queues of their own in a RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import celery
import kombu.pools
import pytest

from tests.redis_server import RedisServer
from tests.services import SERVICES

REDIS = pytest.param("redis", marks=pytest.mark.needs("redis-server"))
RABBITMQ = pytest.param("rabbitmq", marks=pytest.mark.needs("rabbitmq"))


@dataclass(frozen=True)
class Broker:
    """Where tasks go, and where their results do: always to Redis, which chords need.

    Attributes:
        queue: of nobody else, so that runs beside this one do not meet it.
        redis: the server of the results, and on Redis of the tasks too.
    """

    name: str
    url: str
    redis: RedisServer
    queue: str = field(default_factory=lambda: f"notifyguard-{uuid.uuid4().hex}")

    def configuration(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a Celery app that works here; ``more`` goes before them."""
        return {
            "broker_url": self.url,
            "result_backend": self.redis.url,
            "task_default_queue": self.queue,
            "imports": ["tests.celery.tasks"],
            "broker_connection_retry_on_startup": True,
            **more,
        }

    def waiting(self) -> int:
        """Return how many messages nobody has taken yet."""
        with celery.Celery(set_as_current=False).connection_for_write(self.url) as connection:
            queue = connection.SimpleQueue(self.queue)
            try:
                return int(queue.qsize())
            finally:
                queue.close()


@contextmanager
def broker_of(name: str, redis: RedisServer) -> Iterator[Broker]:
    """A broker for one module of tests; its queues are gone afterwards."""
    if name == "redis":
        yield Broker(name, redis.url, redis)
        return
    service = SERVICES["rabbitmq"]
    url = f"amqp://{service.user}:{service.password}@{service.address}//"
    broker = Broker(name, url, redis)
    try:
        yield broker
    finally:
        with celery.Celery(set_as_current=False).connection_for_write(url) as connection:
            channel = connection.default_channel
            channel.queue_delete(broker.queue)
            channel.exchange_delete(broker.queue)


@contextmanager
def publishing_app(configuration: dict[str, Any]) -> Iterator[celery.Celery]:
    """The Celery app of this process, which only publishes; shared tasks are its own."""
    app = celery.Celery("tests", set_as_current=True)
    app.conf.update(configuration)
    app.set_default()
    # Tests wait for lines of the journal. To listen for results would keep a connection open,
    # and a result says goodbye over it when it is collected, long after the server is gone.
    listener = app.backend.result_consumer
    listener.consume_from = listener.cancel_for = lambda task_id: None
    try:
        yield app
    finally:
        app.backend.client.connection_pool.disconnect()
        kombu.pools.reset()
        app.close()


@contextmanager
def eager_app() -> Iterator[celery.Celery]:
    """An app whose tasks run at once, in this process."""
    app = celery.Celery("eager", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    app.set_default()
    try:
        yield app
    finally:
        app.close()
