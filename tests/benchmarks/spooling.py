"""What the spool costs: ``python -m tests.benchmarks.spooling --db postgresql --broker redis``.

Far tasks are sent to the broker and into the spool in turns. Then the spool is filled, looked
into, and emptied to the broker, by one process and by two; how much memory the first of them
holds is written down all the way.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.stage import stage
from tests.redis_server import running_redis
from tests.services import DATABASES, SERVICES
from tests.smtp import PROJECT

FAR = timedelta(days=4)
TIMED = 300  # publishes of each side
FILLED_AT_ONCE = 5_000  # rows
TIMES_LOOKED = 9
WATCHED_EVERY = 2_000  # published tasks
QUEUE = "notifyguard-benchmark"
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", choices=DATABASES, default="postgresql")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--count", type=int, default=100_000, help="tasks that are spooled")
    parser.add_argument("--publish", help=argparse.SUPPRESS)  # of a process of this one
    asked = parser.parse_args()
    os.environ["BENCHMARK_SPOOL"] = "1"
    if asked.publish:
        return _publish_for(asked.publish)
    with stage(asked.db), _broker(asked.broker) as url:
        for line in _measured(url, asked.count):
            print(line, flush=True)
    return 0


@contextmanager
def _broker(name: str) -> Iterator[str]:
    if name == "redis":
        with running_redis() as server:
            yield server.url
        return
    service = SERVICES["rabbitmq"]
    url = f"amqp://{service.user}:{service.password}@{service.address}//"
    try:
        yield url
    finally:
        with _app(url).connection_for_write() as connection:
            connection.default_channel.queue_delete(QUEUE)


def _app(url: str) -> Any:
    import celery

    app = celery.Celery("benchmark", broker=url, set_as_current=True)
    app.conf.update(task_ignore_result=True, task_default_queue=QUEUE)
    app.set_default()
    return app


def _measured(url: str, count: int) -> Iterator[str]:
    from notifyguard.contrib.celery import due

    app = _app(url)
    remind = app.task(_remind, name="tickets.tasks.remind")
    spooled, direct = _sent(remind)
    yield f"a far task, spooled : sent to the broker  {spooled:.2f} : {direct:.2f} ms"
    _fill(remind, count)
    yield f"{count:,} tasks wait"
    for what, look in _looks().items():
        yield f"{what}  {_milliseconds(look):.1f} ms"
    yield f"resident before publishing  {_resident():.0f} MB"
    alone = _Watched(count // 2)
    due.publish_due(alone.goes_on)
    yield f"one process  {alone.rate:,.0f} tasks a second; {alone.held()}"
    left, seconds = count - alone.asked, _by_two(url)
    yield f"two processes  {left / seconds:,.0f} tasks a second"


def _remind(ticket: int, person: str) -> None:
    """A task as there are many: two small arguments."""


def _sent(task: Any) -> tuple[float, float]:
    """Return the milliseconds of a publish, spooled and not; in turns."""
    from django.conf import settings

    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * TIMED):
        spools = bool(number % 2)
        settings.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": spools}}
        began = time.perf_counter()
        task.apply_async((number, "ann@example.com"), countdown=FAR.total_seconds())
        times[spools].append(time.perf_counter() - began)
    return 1e3 * median(times[True]), 1e3 * median(times[False])


def _fill(task: Any, count: int) -> None:
    """Have so many wait, as one that was spooled does; all are due."""
    from notifyguard.contrib.celery.models import SpooledTask
    from tests.benchmarks.filling import settle

    like = SpooledTask.objects.order_by("-pk")[0]
    SpooledTask.objects.all().delete()
    now = datetime.now(UTC)
    for start in range(0, count, FILLED_AT_ONCE):
        rows = []
        for number in range(start, min(start + FILLED_AT_ONCE, count)):
            row = SpooledTask(**{f.name: getattr(like, f.name) for f in SpooledTask._meta.fields})
            row.pk, row.task_id = None, str(uuid.uuid4())
            row.message = like.message.replace(like.task_id, row.task_id)
            row.publish_at = now - timedelta(milliseconds=count - number)
            rows.append(row)
        SpooledTask.objects.bulk_create(rows)
    settle(SpooledTask._meta.db_table)


def _looks() -> dict[str, Callable[[], object]]:
    """What is asked of a full spool: by every sweep, by revoke, by the page."""
    from notifyguard.contrib.celery import spool, spooled
    from notifyguard.contrib.celery.models import SpooledTask

    middle = SpooledTask.objects.order_by("pk")[SpooledTask.objects.count() // 2]
    place = spooled.Place(middle.publish_at, middle.pk)
    return {
        "is anything due": spool.is_due,
        "revoke of what is not spooled": partial(spool.remove, [str(uuid.uuid4())]),
        "a page of 100 from the middle": partial(spooled.listed, "", place),
        "a page of 100 of one name": partial(spooled.listed, middle.name, place),
        "by stamps": lambda: list(spool.stamped()),
    }


def _milliseconds(look: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES_LOOKED):
        began = time.perf_counter()
        look()
        times.append(time.perf_counter() - began)
    return 1e3 * median(times)


def _by_two(url: str) -> float:
    """Have two processes publish the rest; return the seconds from when both are ready."""
    from django.db import connection

    environment = os.environ | {"NOTIFYGUARD_DB_NAME": str(connection.settings_dict["NAME"])}
    command = [sys.executable, "-m", "tests.benchmarks.spooling", "--publish", url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, cwd=PROJECT, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
    began = time.perf_counter()
    for process in processes:
        process.stdin.close()  # type: ignore[union-attr]
    for process in processes:
        process.stdout.read()  # type: ignore[union-attr]
    seconds = time.perf_counter() - began
    assert [process.wait() for process in processes] == [0, 0]
    return seconds


def _publish_for(url: str) -> int:
    import django

    django.setup()
    from notifyguard.contrib.celery import due

    _app(url)
    print("ready", flush=True)
    sys.stdin.read()
    due.publish_due()
    return 0


@dataclass
class _Watched:
    """Lets a process publish so many, and notes how much memory it holds meanwhile."""

    most: int
    asked: int = 0
    began: float = 0.0
    ended: float = 0.0

    def __post_init__(self) -> None:
        self._seen: list[float] = []

    def goes_on(self) -> bool:
        self.began = self.began or time.perf_counter()
        self.ended = time.perf_counter()
        if self.asked % WATCHED_EVERY == 0:
            self._seen.append(_resident())
        self.asked += 1
        return self.asked <= self.most

    @property
    def rate(self) -> float:
        return self.asked / (self.ended - self.began)

    def held(self) -> str:
        # Without the first batch, at which everything is loaded.
        return f"resident {min(self._seen[1:]):.0f} to {max(self._seen[1:]):.0f} MB"


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


if __name__ == "__main__":
    sys.exit(main())
