"""Tasks that go on in every way that Celery has; each address is told by the last of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import celery
from celery import chain, chord, group, shared_task, signals
from django.db import connections, transaction

import notifyguard
from tests.celery.tasks import mail, tell


class Broken(Exception):
    """What a task fails with on purpose."""


@shared_task
def breaks(*_: Any) -> None:
    raise Broken


@shared_task(bind=True, max_retries=3)
def retries(self: Any, to: str, **how: Any) -> None:
    if not self.request.retries:
        raise self.retry(**({"countdown": 0} | how))
    tell(to)


@shared_task(bind=True)
def retries_in_silence(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0)


@shared_task(bind=True, autoretry_for=(Broken,), default_retry_delay=0)
def retries_by_itself(self: Any, to: str) -> None:
    if self.request.retries < 2:
        raise Broken
    tell(to)


@shared_task(bind=True)
def replaced(self: Any, to: str, by: str = "mail") -> Any:
    raise self.replace(
        {
            "mail": mail.si(to),
            "chain": chain(nothing.si(), mail.si(to)),
            "group": group(mail.si(to), nothing.si()),
        }[by]
    )


@shared_task
def nothing(*_: Any) -> None:
    pass


@shared_task(bind=True)
def joins_chord(self: Any, to: str) -> None:
    self.add_to_chord(mail.si(to))


@shared_task
def enqueues(to: str, depth: int = 1, **options: Any) -> None:
    """Enqueue a task that does the same, until ``depth`` is used up: the last one mails."""
    if depth == 1:
        mail.apply_async((to,), **options)
    else:
        enqueues.apply_async((to, depth - 1), options)


@shared_task
def goes_on(to: str, times: int) -> None:
    """Enqueue itself, as a task that polls does."""
    if times:
        goes_on.delay(to, times - 1)
    else:
        tell(to)


@shared_task
def applies(to: str) -> None:
    mail.apply((to,))


@shared_task
def calls(to: str) -> None:
    mail(to)


@shared_task
def applies_itself(to: str, times: int) -> None:
    if times:
        applies_itself.apply((to, times - 1))
    else:
        tell(to)


@shared_task
def applies_one_that_enqueues(to: str) -> None:
    enqueues.apply((to,))


@shared_task
def on_commit(to: str) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: tell(to))


@shared_task
def delays_on_commit(to: str) -> None:
    with transaction.atomic():
        mail.delay_on_commit(to)


def _and_close(to: str) -> None:
    try:
        tell(to)
    finally:
        connections.close_all()


@shared_task
def in_thread(to: str) -> None:
    thread = threading.Thread(target=notifyguard.bind(_and_close), args=(to,))
    thread.start()
    thread.join()


@shared_task
def in_executor(to: str) -> None:
    with ThreadPoolExecutor(1) as executor:
        executor.submit(notifyguard.bind(_and_close), to).result()


@shared_task
def builds_chord(to: str) -> None:
    chord([nothing.si(), nothing.si()], mail.si(to)).delay()


@shared_task
def old_errback(_: str, to: str) -> None:
    """An error callback as it was before Celery 4: published as a task, with an id."""
    tell(to)


@shared_task
def errback(request: Any, exc: Any, traceback: Any, to: str) -> None:
    """An error callback as it is now: called where the failure is handled."""
    tell(to)


@shared_task
def enqueuing_errback(request: Any, exc: Any, traceback: Any, to: str) -> None:
    mail.delay(to)


class WithHooks(celery.Task):
    """A task class that tells of what came of it."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        tell(f"start-{args[0]}")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        tell(f"success-{args[0]}")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        tell(f"failure-{args[0]}")

    def after_return(self, status: Any, retval: Any, task_id: str, *rest: Any) -> None:
        tell(f"return-{rest[0][0]}")


@shared_task(base=WithHooks)
def hooked(to: str, fail: bool = False) -> None:
    if fail:
        raise Broken


@shared_task(base=WithHooks, time_limit=1)
def hangs(to: str) -> None:
    time.sleep(30)  # until the worker's main process has enough of it


@shared_task
def told_by_signals(to: str) -> None:
    pass


@signals.task_success.connect(sender=told_by_signals)
def tell_success(sender: Any, **_: Any) -> None:
    tell(f"success-{sender.request.args[0]}")


@signals.task_postrun.connect(sender=told_by_signals)
def tell_postrun(args: Any, **_: Any) -> None:
    tell(f"postrun-{args[0]}")


@shared_task
def is_lost(*_: Any) -> None:
    """End as a process does that the kernel kills when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(bind=True, retry_on_worker_lost=True, default_retry_delay=0, max_retries=1)
def is_lost_once(self: Any, to: str) -> None:
    if not self.request.retries:
        is_lost()
    tell(to)


@shared_task
def waits(*_: Any) -> None:
    time.sleep(600)


@signals.task_revoked.connect(sender=waits)
def tell_revoked(request: Any, **_: Any) -> None:
    for to in request.args:
        tell(f"revoked-{to}")
