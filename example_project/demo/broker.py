"""The broker of one site in the replays with Celery: its part of a Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

QUEUE = "celery"


@dataclass(frozen=True)
class Broker:
    """Where one site's tasks wait. Its keys have a prefix of their own in that Redis.

    ``visibility_timeout`` is in seconds, "" for Celery's own hour: for so long a task may be
    unacknowledged until it is given to somebody else.
    """

    url: str
    prefix: str = field(default_factory=lambda: f"notifyguard-demo-{uuid.uuid4().hex[:8]}-")
    visibility_timeout: int | Literal[""] = ""

    def environment(self) -> dict[str, str]:
        """Return what of the environment the settings of the example project read."""
        return {
            "EXAMPLE_BROKER": self.url,
            "EXAMPLE_BROKER_PREFIX": self.prefix,
            "EXAMPLE_BROKER_VISIBILITY_TIMEOUT": str(self.visibility_timeout),
        }

    @property
    def queue(self) -> str:
        """The key of the tasks that no worker has taken."""
        return f"{self.prefix}{QUEUE}"

    def waiting(self) -> int:
        """Count the tasks that no worker has begun."""
        with self.connected() as redis:
            return int(redis.llen(self.queue)) + int(redis.hlen(f"{self.prefix}unacked"))

    def forget(self) -> None:
        """Delete every key of this site."""
        with self.connected() as redis:
            for key in redis.scan_iter(match=f"{self.prefix}*", count=1000):
                redis.delete(key)

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Yield a connection to the Redis. The library is there only where it is needed."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            yield client


@contextmanager
def forgotten(broker: Broker) -> Iterator[Broker]:
    """Yield a broker; what it keeps is gone behind the block."""
    try:
        yield broker
    finally:
        broker.forget()
