"""The heartbeats of a worker, written by the processes that run its tasks.

Its main process writes none: it answers ``ping`` with every process of its pool hung. So a
worker is heard when its pool has run the little function that it is given again and again,
and when a task has come to its end.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from celery import bootsteps, signals

from notifyguard import conf, database
from notifyguard.gate import light
from notifyguard.heartbeats import Kind, Pulse

PATIENCE = 20
"""Turns that one pulse is waited for, before it counts as lost with its process."""


class PoolPulse(bootsteps.StartStopStep):  # type: ignore[misc] # the library has no annotations
    """Gives the pool of a worker its pulse to write; started again with each connection.

    Celery drops its timers with the connection to the broker, so a signal would not do.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timers: list[Any] = []
        self._waited = 0

    def start(self, consumer: Any) -> None:
        if not _is_wanted():
            return
        self._waited = 0
        tick, every = partial(self._tick, consumer), conf.current().heartbeat
        timer = consumer.timer
        self._timers = [timer.call_after(0, tick), timer.call_repeatedly(every, tick)]

    def stop(self, consumer: Any) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _tick(self, consumer: Any) -> None:
        if not consumer.pool.num_processes:
            # Scaled down to none while there is nothing to do: there is nothing that could hang.
            beat(consumer.hostname)
            return
        # A pool that hangs is not given one pulse after the other to work off later.
        if self._waited and self._waited < PATIENCE:
            self._waited += 1
            return
        self._waited = 1
        semaphore = consumer.controller.semaphore
        if semaphore and consumer.pool.uses_semaphore:
            # In the line of the tasks: the pool releases a place for whatever it has done.
            semaphore.acquire(self._give, consumer)
        else:
            self._give(consumer)

    def _give(self, consumer: Any) -> None:
        done = self._done
        consumer.pool.apply_async(beat, (consumer.hostname,), callback=done, error_callback=done)

    def _done(self, result: object) -> None:
        self._waited = 0


def install() -> None:
    """Have every worker that starts in this process be heard; a second call does nothing."""
    signals.worker_init.connect(_add_step, dispatch_uid="notifyguard")
    signals.task_postrun.connect(_at_the_end_of_a_task, dispatch_uid="notifyguard")
    signals.worker_shutdown.connect(_at_the_end, dispatch_uid="notifyguard")


def beat(worker: str) -> None:
    """Write a heartbeat of a worker, in a process of its pool, between two tasks."""
    if not _is_wanted():
        return
    _pulse(worker).beat()
    connection = database.connection()
    if not connection.in_atomic_block:  # a test's
        connection.close()  # as Celery does behind each task


def _add_step(sender: Any, **_: Any) -> None:
    sender.app.steps["consumer"].add(PoolPulse)


def _at_the_end_of_a_task(task: Any, **_: Any) -> None:
    request = task.request
    if not request.is_eager and request.hostname and _is_wanted():
        _pulse(request.hostname).beat()


def _at_the_end(sender: Any, **_: Any) -> None:
    # One that gives up, as when the broker closes its channel, was not told to: it falls silent.
    if not sender.exitcode and _is_wanted():
        _pulse(sender.hostname).end()


def _is_wanted() -> bool:
    settings = conf.current()
    return settings.mode != "bypass" and not light.applies(settings)


@cache
def _pulse(worker: str) -> Pulse:
    return Pulse(Kind.WORKER, worker, conf.current().heartbeat)
