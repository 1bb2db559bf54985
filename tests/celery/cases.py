"""Every way that Celery has to enqueue something, and to go on with something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Signature, chain, chord, group
from django.db import transaction

from tests.celery import travelling_tasks as tasks
from tests.celery.tasks import mail

TASK = "tests.celery.tasks.mail"

CASES: dict[str, tuple[Callable[[str], Any], tuple[str, ...]]] = {}
"""How something is enqueued for an address, and who is told of it in the end."""

ONE, TWO, THREE = ("{}",), ("first-{}", "second-{}"), ("first-{}", "second-{}", "third-{}")


def case(name: str, enqueue: Callable[[str], Any], told: tuple[str, ...] = ONE) -> None:
    assert name not in CASES
    CASES[name] = enqueue, told


def run(name: str, to: str) -> None:
    """Enqueue what the case says; a signature that it returns is enqueued as it is."""
    work = CASES[name][0](to)
    if isinstance(work, Signature):
        work.delay()


def first(to: str) -> Signature:
    return mail.si(f"first-{to}")


def second(to: str) -> Signature:
    return mail.si(f"second-{to}")


def third(to: str) -> Signature:
    return mail.si(f"third-{to}")


def nothing(link: Any = None, error: Any = None) -> Signature:
    signature = tasks.nothing.si()
    if link:
        signature.link(link)
    return signature.on_error(error) if error else signature


def breaks() -> Signature:
    return tasks.breaks.si()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=0.3)


def stamped(signature: Any) -> Any:
    signature.stamp(ticket="4711")
    return signature


def in_transaction(register: Callable[[str], Any]) -> Callable[[str], Any]:
    def enqueue(to: str) -> None:
        with transaction.atomic():
            register(to)

    return enqueue


def revoked(task: Signature, body: Signature) -> Signature:
    """A chord of a task that is revoked before it runs: the worker's main process ends it."""
    task.freeze()
    task.app.control.broadcast("revoke", {"task_id": task.id}, reply=True, limit=1, timeout=10)
    return chord([task], body)


case("delay", lambda to: mail.delay(to))
case("apply_async", lambda to: mail.apply_async((to,), priority=3, ignore_result=True))
case("send_task", lambda to: mail.app.send_task(TASK, (to,)))
case("signature", lambda to: mail.s(to).delay())
case("signature by name", lambda to: mail.app.signature(TASK, (to,)).apply_async())
case("eta", lambda to: mail.apply_async((to,), eta=soon()))
case("countdown", lambda to: mail.apply_async((to,), countdown=0.3))
case("headers of its own", lambda to: mail.apply_async((to,), headers={"tenant": "acme"}))
case("headers of a signature", lambda to: mail.s(to).set(headers={"tenant": "acme"}))
case("compressed", lambda to: mail.apply_async((to,), compression="gzip"))
case("stamped", lambda to: stamped(mail.s(to)))

case("retry", lambda to: tasks.retries.delay(to))
case("retry with countdown", lambda to: tasks.retries.delay(to, countdown=0.3))
case("autoretry", lambda to: tasks.retries_by_itself.delay(to))

case("chain", lambda to: chain(first(to), second(to), third(to)), THREE)
case("chain by |", lambda to: nothing() | mail.si(to))
case("group", lambda to: group(first(to), second(to)), TWO)
case("group of chains", lambda to: group(nothing() | first(to), second(to)), TWO)
case("chain of groups", lambda to: group(first(to), nothing()) | second(to) | third(to), THREE)
case("chord", lambda to: chord([first(to), second(to)], third(to)), THREE)
case("chain as body", lambda to: chord([first(to)], nothing() | second(to)), TWO)
case("group as body", lambda to: chord([nothing(), nothing()], group(first(to), second(to))), TWO)
case(
    "chord in chord", lambda to: chord([chord([nothing()], first(to)), nothing()], second(to)), TWO
)
case("add_to_chord", lambda to: chord([tasks.joins_chord.s(f"first-{to}")], second(to)), TWO)
case("chunks", lambda to: mail.chunks([(each.format(to),) for each in THREE], 2), THREE)
case("map", lambda to: mail.map([each.format(to) for each in TWO]), TWO)
case("starmap", lambda to: mail.starmap([(each.format(to),) for each in TWO]), TWO)

case("link", lambda to: nothing(link=mail.si(to)))
case("links of links", lambda to: nothing(link=nothing(link=nothing(link=mail.si(to)))))
case("link to a group", lambda to: nothing(link=group(first(to), second(to))), TWO)
case("link to a chain", lambda to: nothing(link=first(to) | second(to)), TWO)
case("link to a chord", lambda to: nothing(link=chord([first(to)], second(to))), TWO)
case("link_error, old", lambda to: breaks().on_error(tasks.old_errback.s(to)))
case("link_error, new", lambda to: breaks().on_error(tasks.errback.s(to)))
case("link_error that enqueues", lambda to: breaks().on_error(tasks.enqueuing_errback.s(to)))
case("link_error of a chain", lambda to: (nothing() | breaks()).on_error(tasks.errback.s(to)))
case("of a chord", lambda to: chord([breaks()], nothing(error=tasks.errback.s(to))))
case("of a chord, old", lambda to: chord([breaks()], nothing(error=tasks.old_errback.s(to))))

case("replace", lambda to: tasks.replaced.delay(to))
case("replace by a chain", lambda to: tasks.replaced.delay(to, "chain"))
case("replace by a group", lambda to: tasks.replaced.delay(to, "group"))
case("sub-task", lambda to: tasks.enqueues.delay(to))
case("sub-task of a sub-task", lambda to: tasks.enqueues.delay(to, 3))
case("sub-task that is no child", lambda to: tasks.enqueues.delay(to, add_to_parent=False))
case("sub-task with a countdown", lambda to: tasks.enqueues.delay(to, countdown=0.3))
case("chord in a task", lambda to: tasks.builds_chord.delay(to))
case("task that enqueues itself", lambda to: tasks.goes_on.delay(to, 3))
case("applied in a task", lambda to: tasks.applies.delay(to))
case("called in a task", lambda to: tasks.calls.delay(to))
case("task that applies itself", lambda to: tasks.applies_itself.delay(to, 2))
case("sub-task of one applied", lambda to: tasks.applies_one_that_enqueues.delay(to))

case("on_commit", in_transaction(lambda to: transaction.on_commit(lambda: mail.delay(to))))
case("delay_on_commit", in_transaction(lambda to: mail.delay_on_commit(to)))
case("apply_async_on_commit", in_transaction(lambda to: mail.apply_async_on_commit((to,))))
case("on_commit in a task", lambda to: tasks.on_commit.delay(to))
case("delay_on_commit in a task", lambda to: tasks.delays_on_commit.delay(to))
case("bound thread of a task", lambda to: tasks.in_thread.delay(to))
case("bound executor of a task", lambda to: tasks.in_executor.delay(to))

WELL = ("start-{}", "success-{}", "return-{}")
BADLY = ("start-{}", "failure-{}", "return-{}")
case("hooks", lambda to: tasks.hooked.delay(to), WELL)
case("hooks of a failure", lambda to: tasks.hooked.delay(to, fail=True), BADLY)
case("signals", lambda to: tasks.told_by_signals.delay(to), ("success-{}", "postrun-{}"))

# What the worker's main process does, since the child is no more.
LOST = tasks.is_lost
case("lost worker, old", lambda to: LOST.si().on_error(tasks.old_errback.s(to)))
case("lost worker, new", lambda to: LOST.si().on_error(tasks.errback.s(to)))
case("lost worker that enqueues", lambda to: LOST.si().on_error(tasks.enqueuing_errback.s(to)))
case("lost worker of a chord", lambda to: chord([LOST.si()], nothing(error=tasks.errback.s(to))))
case("retry after a lost worker", lambda to: tasks.is_lost_once.delay(to))
case("time limit", lambda to: tasks.hangs.si(to).on_error(tasks.errback.s(to)), (*BADLY, *ONE))
case(
    "revoked",
    lambda to: revoked(tasks.waits.si(to), nothing(error=tasks.errback.s(to))),
    ("{}", "revoked-{}"),
)
