"""What travels with tasks, and what that costs: ``python -m tests.benchmarks.tasks``.

Publishing to a Redis of its own, and running a task as a worker's process does, with
notifyguard and as Celery is without it, in turns. No mail is sent: that has its own price.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import celery
import django

from tests.benchmarks.timing import Measure, compared
from tests.redis_server import running_redis

FRAMES = 60
"""On the call stack when a view publishes, behind its middleware: they are looked through."""
CALLS = 20
"""In one pass: one alone is near to what a clock can tell."""


def main() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    with running_redis() as server:
        app = celery.Celery("benchmark", broker=server.url)
        app.conf.task_ignore_result = True
        versions = f"Celery {celery.__version__}, Python {sys.version.split()[0]}"
        print(f"{versions}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        for measure in _measures(app):
            result = compared(measure)
            ours, base = (seconds / CALLS * 1e6 for seconds in (result.ours, result.base))
            print(f"{result.name}: {result.ratio:.2f} times ({ours:,.0f} : {base:,.0f} us)")
        app.pool.force_close_all()
    return 0


def _measures(app: Any) -> Iterator[Measure]:
    from notifyguard import context, suppressed

    @app.task
    def nothing() -> None:
        pass

    @app.task
    def asks() -> None:
        context.current()

    def with_callbacks() -> None:
        nothing.apply_async(link=[nothing.si(), nothing.si()])

    backfill = partial(suppressed, reason="backfill")
    publish, run = nothing.delay, _runner(app, nothing)
    yield _measure("publish", publish, publish)
    yield _measure("publish while suppressed", publish, publish, backfill)
    yield _measure("with two callbacks, suppressed", with_callbacks, with_callbacks, backfill)
    yield _measure("run a task", run, run)
    yield _measure("run a task that asks once what is said", _runner(app, asks), run)


def _measure(
    name: str,
    ours: Callable[[], object],
    base: Callable[[], object],
    said: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Measure:
    return Measure(
        name,
        against="Celery without notifyguard",
        aim=0,
        ours=partial(_pass, ours, said, guarded=True),
        base=partial(_pass, base, nullcontext, guarded=False),
        pairs=40,
    )


def _pass(
    call: Callable[[], object], said: Callable[[], AbstractContextManager[None]], *, guarded: bool
) -> Callable[[], bool]:
    from celery import signals
    from celery.app.amqp import AMQP

    from notifyguard.contrib.celery import running, seam

    if guarded:
        seam.install()
    else:
        AMQP.send_task_message = seam._own
        signals.task_prerun.disconnect(running.started)

    def timed() -> bool:
        with said():
            _deeper(FRAMES, lambda: [call() for _ in range(CALLS)])
        return True

    return timed


def _deeper(frames: int, call: Callable[[], object]) -> None:
    if frames:
        _deeper(frames - 1, call)
    else:
        call()


def _runner(app: Any, task: Any) -> Callable[[], object]:
    """Run a task as a process of the pool does, once the message is decoded."""
    from celery.app.trace import build_tracer

    from notifyguard.contrib.celery.header import HEADER, Said, written

    run = build_tracer(task.name, task, app=app)
    request = {"id": "1", "delivery_info": {}, HEADER: written(Said(origin="web"))}
    return lambda: run(uuid.uuid4().hex, (), {}, dict(request))


if __name__ == "__main__":
    sys.exit(main())
