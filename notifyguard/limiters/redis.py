"""Counting in Redis: one call for all limits of a batch, by the server's clock.

Redis may forget, and a limiter that forgot lets everything out. So it says since when
it remembers. As long as that is not long enough for a window, and whenever Redis does
not answer, the ledger's database counts, from what the ledger knows was sent; and once
in a while it looks over Redis' shoulder, for what was lost in silence.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any
from uuid import UUID

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        "The Redis limiter needs redis-py: pip install 'notifyguard[redis]'"
    ) from error

from notifyguard.conf import LimiterSettings
from notifyguard.conf.problem import did_you_mean
from notifyguard.exceptions import InvalidSettings
from notifyguard.limiters.base import Refusal, Request
from notifyguard.limiters.database import DatabaseLimiter

MICROSECONDS = 1_000_000
DEFAULTS: Mapping[str, Any] = {"timeout": 0.25, "prefix": "notifyguard", "cluster": False}
PAUSE = 5.0
"""Seconds for which a server that failed is left alone: to wait for it costs each message."""

LOOKS = 1.0
"""Seconds between two looks of this process into the ledger."""

SLACK = 10.0
"""Seconds by which ledger and Redis may differ about when a delivery left."""

Answers = Sequence[Refusal | None]
Requests = Sequence[Request]

logger = logging.getLogger("notifyguard")


class Untrustworthy(Exception):
    """Redis answered what the script cannot have said."""


class RedisLimiter:
    """Counts in Redis 6.2 or later, or in what speaks its protocol."""

    def __init__(self, settings: LimiterSettings) -> None:
        options = _checked(settings)
        # The same slot for all keys: a cluster runs a script on one node only.
        self._prefix = f"{{{options['prefix']}}}:"
        self._since = f"{self._prefix}since"
        self._client = _connected(settings.location, options)
        self._script = self._client.register_script(_SOURCE)
        self._database = DatabaseLimiter(settings)
        self._missed = False
        self._rests_until = 0.0
        self._looks_at = 0.0

    def acquire(self, requests: Sequence[Request]) -> list[Refusal | None]:
        """Count what may leave, in one call; in the database where Redis cannot be relied on."""
        if not requests:
            return []
        if time.monotonic() < self._rests_until:
            return self._database.acquire(requests, from_ledger=True)
        try:
            answers, remembers = self._ask(requests)
        except Exception as error:  # any: to what is no Redis, redis-py answers with anything
            self._rest(error)
            return self._database.acquire(requests, from_ledger=True)
        self._say_back()
        if not remembers:  # only what the database lets out too
            refused = self._refused_by_database(requests, answers)
            return self._overruled(requests, answers, refused)
        if time.monotonic() >= self._looks_at:
            return self._looked_at(requests, answers)
        return list(answers)

    def refund(self, requests: Sequence[Request]) -> None:
        """Free what these deliveries counted, wherever that was."""
        self._database.refund(requests)
        self._on_redis(self._remove, requests)

    def renew(self, requests: Sequence[Request]) -> None:
        """Let these deliveries count from now on, wherever they do."""
        self._database.renew(requests)
        self._on_redis(self._move, requests)

    def _ask(self, requests: Sequence[Request]) -> tuple[Answers, bool]:
        """Run the script; return its answers, and whether Redis remembers for long enough."""
        keys, asked, longest = self._asked(requests)
        remembers, *refusals = _numbers(self._run(keys, asked))
        self._missed = False
        answers: list[Refusal | None] = [None] * len(requests)
        for one, which, wait in zip(refusals[::3], refusals[1::3], refusals[2::3], strict=True):
            answers[one] = Refusal(requests[one].quotas[which], wait / MICROSECONDS)
        return answers, remembers >= longest

    def _run(self, keys: list[str], asked: str) -> Any:
        try:
            return self._client.execute_command(
                "EVALSHA", self._script.sha, len(keys), *keys, asked
            )
        except redis.exceptions.NoScriptError:
            return self._script(keys, [asked])  # which loads it first

    def _asked(self, requests: Sequence[Request]) -> tuple[list[str], str, int]:
        """Return the keys, the one argument (each costs the client) and the longest window."""
        places: dict[str, int] = {}
        asked: list[Any] = [int(self._missed), 0]
        longest = 0
        for request in requests:
            one: list[str | int] = [request.delivery.hex]
            for quota in request.quotas:
                # KEYS begin at 1, and the first is not a counter.
                place = places.setdefault(self._key(quota.counter), len(places) + 2)
                longest = max(longest, quota.window)
                one += (place, quota.limit.number, quota.window)
            asked.append(one)
        asked[1] = longest
        return [self._since, *places], _encoded(asked), longest

    def _looked_at(self, requests: Sequence[Request], answers: Answers) -> list[Refusal | None]:
        """Compare with the ledger; what it knows better, Redis has lost."""
        self._looks_at = time.monotonic() + LOOKS
        refused = self._refused_by_database(requests, answers)
        lost = {name: no for name, no in refused.items() if no.seconds > SLACK}
        if lost:
            self._missed = True
            logger.error(
                "notifyguard: Redis has lost what the limiter counted; the ledger's database "
                "counts as well until Redis has seen a whole window again"
            )
        return self._overruled(requests, answers, lost)

    def _refused_by_database(
        self, requests: Sequence[Request], answers: Answers
    ) -> dict[UUID, Refusal]:
        allowed = [request for request, no in zip(requests, answers, strict=True) if no is None]
        second = self._database.acquire(allowed, from_ledger=True)
        return {
            request.delivery: no
            for request, no in zip(allowed, second, strict=True)
            if no is not None
        }

    def _overruled(
        self, requests: Sequence[Request], answers: Answers, refused: Mapping[UUID, Refusal]
    ) -> list[Refusal | None]:
        if refused:
            overruled = [request for request in requests if request.delivery in refused]
            self._on_redis(self._remove, overruled)
        pairs = zip(requests, answers, strict=True)
        return [no or refused.get(request.delivery) for request, no in pairs]

    def _remove(self, requests: Sequence[Request]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for request in requests:
                for counter in request.counters:
                    pipeline.zrem(self._key(counter), request.delivery.hex)
            pipeline.execute()

    def _move(self, requests: Sequence[Request]) -> None:
        seconds, microseconds = self._client.time()
        now = seconds * MICROSECONDS + microseconds
        with self._client.pipeline(transaction=False) as pipeline:
            for request in requests:
                for counter in request.counters:
                    # XX: what no longer counts is not counted again.
                    pipeline.zadd(self._key(counter), {request.delivery.hex: now}, xx=True)
            pipeline.execute()

    def _on_redis(self, deed: Callable[[Requests], None], requests: Requests) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            deed(requests)
        except Exception as error:  # any, as above
            self._rest(error)  # what was not removed counts: less leaves, not more

    def _key(self, counter: UUID) -> str:
        return self._prefix + counter.hex

    def _rest(self, error: Exception) -> None:
        """Leave Redis alone for a while, and have it know that it missed something."""
        if not self._rests_until:
            # Its name alone: a URL may hold a password.
            logger.error(
                "notifyguard: the Redis limiter failed (%s); limits are counted in the ledger's "
                "database until it is back",
                type(error).__name__,
            )
        self._missed = True
        self._rests_until = time.monotonic() + PAUSE

    def _say_back(self) -> None:
        if self._rests_until:
            self._rests_until = 0.0
            logger.warning("notifyguard: the Redis limiter is back")


def _checked(settings: LimiterSettings) -> dict[str, Any]:
    place = 'NOTIFYGUARD["LIMITER"]'
    if not settings.location:
        raise InvalidSettings(f'{place}["LOCATION"] is missing. Write a URL: "redis://localhost".')
    for name in settings.options:
        if name not in DEFAULTS:
            likely = did_you_mean(name, DEFAULTS)
            hint = f'Did you mean "{likely}"?' if likely else f"Known are {', '.join(DEFAULTS)}."
            raise InvalidSettings(f'{place}["OPTIONS"]["{name}"] is no option. {hint}')
    options = {**DEFAULTS, **settings.options}
    timeout = options["timeout"]
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 10:
        raise InvalidSettings(
            f'{place}["OPTIONS"]["timeout"] is {timeout!r}. Write seconds, more than 0, at most 10.'
        )
    return options


def _connected(location: str, options: Mapping[str, Any]) -> Any:
    patience = {
        "protocol": 2,  # a tenth of a call's time less than 3
        "socket_timeout": options["timeout"],
        "socket_connect_timeout": options["timeout"],
        # Once more after a lost connection, at once; never after a timeout, which costs.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    client = redis.RedisCluster if options["cluster"] else redis.Redis
    return client.from_url(location, **patience)


def _numbers(reply: Any) -> list[int]:
    whole = isinstance(reply, list) and len(reply) % 3 == 1
    if whole and all(type(number) is int and number >= 0 for number in reply):
        return list(reply)
    raise Untrustworthy("not the script's answer")


_encoded = json.JSONEncoder(separators=(",", ":")).encode
_SOURCE = files("notifyguard.limiters").joinpath("acquire.lua").read_text(encoding="utf-8")
