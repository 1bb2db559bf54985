"""What a limit costs: ``python -m tests.benchmarks.limiters [--db postgresql]``.

Redis is one of its own. Ratios are of medians taken in turns, as in the other benchmarks.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.stage import stage
from tests.redis_server import RedisServer, running_redis

AIM_RATIO = 1.4
AIM_BLOCKED = 2.0
"""Milliseconds for which one call may hold up everybody else."""

PROCESSES = 8
SECONDS = 3.0
CALLS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.limiters")
    databases = ["postgresql", "sqlite", "mariadb"]
    parser.add_argument("--db", choices=databases, default="postgresql")
    options = parser.parse_args()
    with stage(options.db), running_redis() as server:
        from tests.benchmarks import report

        about = report.surroundings(0)
        version = server.client.info("server")["redis_version"]
        print(", ".join(f"{name} {value}" for name, value in about.items()), f", Redis {version}")
        _costs(server)
        _blocked(server)
        _throughput(server)
    return 0


def _costs(server: RedisServer) -> None:
    import redis

    bare = redis.Redis.from_url(server.url)
    bare.set("bare", "1")
    get = _middle(lambda: bare.get("bare"))
    for what, limits in (("1 limit", 1), ("2 limits", 2), ("3 limits", 3)):
        ours, base = _in_turns(_one_call(_redis(server), limits), lambda: bare.get("bare"))
        aim = f"aim {AIM_RATIO}" if limits == 1 else ""
        print(f"Redis, {what}: {ours / base:5.2f} times a GET ({_us(ours)} : {_us(base)}) {aim}")
    batch = _middle(_batch_call(_redis(server)), 40)
    print(f"Redis, 200 recipients with 2 limits each and 1 in common: {_us(batch)}, GET {_us(get)}")
    for limits in (1, 2):
        print(f"database, {limits} limit(s): {_us(_middle(_one_call(_database(), limits), 200))}")
    print(f"database, the same 200: {_us(_middle(_batch_call(_database()), 20))}")


def _blocked(server: RedisServer) -> None:
    """How long the longest call held up the server, by its own account."""
    call = _batch_call(_redis(server))
    server.client.config_set("slowlog-log-slower-than", 100)
    server.client.config_set("slowlog-max-len", 10_000)
    server.client.slowlog_reset()
    for _ in range(CALLS):
        call()
    server.client.config_set("slowlog-log-slower-than", -1)
    # The commands within the script are logged as well.
    logged = server.client.slowlog_get(10_000)
    took = [each["duration"] / 1000 for each in logged if each["command"].startswith(b"EVALSHA")]
    middle, longest = median(took), max(took)
    print(f"blocked by a call of 200: median {middle:.2f} ms, longest {longest:.2f} ms, aim 2")


def _throughput(server: RedisServer) -> None:
    from django.db import connections

    connections.close_all()
    for name, make in (("Redis", lambda: _redis(server)), ("database", _database)):
        for shared in (False, True):
            per_second = _raced(make, shared=shared)
            where = "one counter for all" if shared else "a counter for each recipient"
            print(f"{name}, {PROCESSES} processes, {where}: {per_second:,.0f} a second")


def _raced(make: Callable[[], Any], *, shared: bool) -> float:
    """Let forked processes ask for as much as they can; return their sum a second."""
    with TemporaryDirectory() as folder:
        children = []
        for child in range(PROCESSES):
            if not (process := os.fork()):
                Path(folder, str(child)).write_text(str(_asked(make(), shared=shared)))
                os._exit(0)
            children.append(process)
        for process in children:
            os.waitpid(process, 0)
        return sum(int(path.read_text()) for path in Path(folder).iterdir()) / SECONDS


def _asked(limiter: Any, *, shared: bool) -> int:
    call = _one_call(limiter, 1, None if shared else f"{os.getpid()}")
    until, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        call()
        count += 1
    return count


def _one_call(limiter: Any, limits: int, who: str | None = "ann") -> Callable[[], object]:
    from tests.limiting import quota, request

    # As in use: nearly always there is room, and each person gets few mails.
    def ask(number: int) -> list[Any]:
        whom = who and f"{who}{number % 1000}"
        return [request(*(quota(whom, 1000, 3600 * 2**each) for each in range(limits)))]

    asked = iter([ask(number) for number in range(20_000)])
    return lambda: limiter.acquire(next(asked))


def _batch_call(limiter: Any) -> Callable[[], object]:
    from tests.limiting import quota, request

    everybody = quota(None, 100_000, 3600)

    def ask(batch: int) -> list[Any]:
        people = [f"person{200 * batch + number % 20_000}" for number in range(200)]
        return [request(quota(who, 5, 3600), quota(who, 20, 86_400), everybody) for who in people]

    asked = iter([ask(batch) for batch in range(CALLS)])
    return lambda: limiter.acquire(next(asked))


def _redis(server: RedisServer) -> Any:
    from tests.limiting import redis_limiter

    server.client.set("{notifyguard}:since", 1)
    limiter = redis_limiter(server.url)
    limiter._looks_at = float("inf")
    return limiter


def _database() -> Any:
    from tests.limiting import InDatabase

    return InDatabase().limiter


def _in_turns(ours: Callable[[], object], base: Callable[[], object]) -> tuple[float, float]:
    pairs = [(_seconds(ours), _seconds(base)) for _ in range(1500)]
    return median(one for one, _ in pairs), median(two for _, two in pairs)


def _middle(call: Callable[[], object], times: int = 500) -> float:
    return median(_seconds(call) for _ in range(times))


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us"


if __name__ == "__main__":
    sys.exit(main())
