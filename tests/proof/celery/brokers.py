"""The broker of a run: a Redis of its own, or a queue of its own in a RabbitMQ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.celery.brokers import broker_of
from tests.redis_server import running_redis


@contextmanager
def broker(name: str) -> Iterator[None]:
    """Say in the environment where tasks go; take it down at the end."""
    with running_redis() as redis, broker_of(name, redis) as found:
        os.environ |= {"PROOF_BROKER": found.url, "PROOF_QUEUE": found.queue}
        yield
