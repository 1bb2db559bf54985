"""Limiters as their tests see them: the same requests, and a way to let time pass."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import F

from notifyguard.conf import Limit, LimiterSettings
from notifyguard.ledger import key_of, new_id
from notifyguard.limiters import Limiter, Quota, Request
from notifyguard.limiters.database import DatabaseLimiter
from notifyguard.models import LimitCounter, LimitEntry

PATTERN = "ticket.*"
SALT = "00" * 32


class Stage(Protocol):
    """A limiter under test, and the time it lives in."""

    limiter: Limiter
    url: str

    def age(self, seconds: float) -> None:
        """Make everything that was counted so many seconds older."""


def limit(number: int, seconds: int) -> Limit:
    return Limit(number, seconds, f"{number}/{seconds} seconds", PATTERN)


def quota(who: str | None, number: int, seconds: int) -> Quota:
    """A limit for one recipient, or for all together."""
    return Quota(counter(who), limit(number, seconds), who)


def counter(who: str | None) -> uuid.UUID:
    return key_of(SALT, "test", who or "")


def request(*quotas: Quota) -> Request:
    return Request(new_id(), quotas)


def granted(limiter: Limiter, requests: Iterable[Request]) -> list[bool]:
    """Which of the requests may leave."""
    return [refusal is None for refusal in limiter.acquire(list(requests))]


class InDatabase:
    """The limiter that counts in the ledger's database."""

    url = ""

    def __init__(self) -> None:
        self.limiter = DatabaseLimiter(LimiterSettings())

    def age(self, seconds: float) -> None:
        microseconds = int(seconds * 1_000_000)
        LimitEntry.objects.update(at=F("at") - microseconds)
        LimitCounter.objects.filter(used_at__gt=0).update(used_at=F("used_at") - microseconds)


@dataclass
class InRedis:
    """The limiter that counts in Redis, once it has remembered for longer than any window."""

    server: Any

    def __post_init__(self) -> None:
        self.server.client.flushall()
        self.url = self.server.url
        self.limiter = redis_limiter(self.url)
        self.server.client.set("{notifyguard}:since", 1)
        self.limiter._looks_at = float("inf")

    def age(self, seconds: float) -> None:
        client = self.server.client
        for key in client.scan_iter("{notifyguard}:*", _type="zset"):
            for member, score in client.zrange(key, 0, -1, withscores=True):
                client.zadd(key, {member: score - seconds * 1_000_000})


class WithoutRedis(InDatabase):
    """The same, when nobody answers: the database counts."""

    def __init__(self) -> None:
        from tests.redis_server import free_port

        super().__init__()
        self.url = f"redis://127.0.0.1:{free_port()}"
        self.limiter: Any = redis_limiter(self.url)


def redis_limiter(location: str, **options: Any) -> Any:
    from notifyguard.limiters.redis import RedisLimiter

    return RedisLimiter(LimiterSettings(location=location, options=options))
