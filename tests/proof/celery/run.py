"""``python -m tests.proof celery``: workers and their children are killed, then all is judged."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.proof import checker, crash, kills
from tests.proof import workers as callers
from tests.proof.celery import workers
from tests.proof.celery.plans import (
    SIZES,
    Orders,
    Tasks,
    is_alive,
    left_over,
    now,
    on_redis,
    redeliver,
)
from tests.proof.crash import Kill
from tests.proof.journals import History
from tests.proof.models import Intent
from tests.proof.plans import Deaths
from tests.proof.protocols import chosen, pause
from tests.proof.stage import Progress, Stage, verdict

WORKERS = 2
SLOT = "task"
PACE = 0.05  # seconds between two looks at everything
REDELIVERED_EVERY = 0.25  # seconds
LIVES_FOR = (2.0, 6.0)  # seconds that the main process of a worker lives, at least and at most
FINISH = 60.0  # seconds for what is enqueued still
LOOKS = 10  # at a broker that has nothing, before something counts as lost
STEPS = ("tests.proof.celery.tasks:one_is_sent", "tests.proof.celery.tasks:all_is_done")


@dataclass(eq=False)
class Worker:
    """A worker, and when its main process is killed; its children have orders of their own."""

    number: int
    process: BaseProcess
    due: float

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def children(self) -> set[int]:
        """Return the processes of its pool."""
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return {int(pid) for pid in found.split()}


@dataclass
class Run:
    """The workers of a run; one is started again whenever it was killed."""

    stage: Stage
    dice: random.Random
    tasks: Tasks
    deaths: Deaths
    orders: Orders
    workers: list[Worker] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    due: dict[int, float] = field(default_factory=dict)
    started: int = 0
    how: Counter[str] = field(default_factory=Counter)
    redelivered_at: float = 0.0
    idle: int = 0
    lost: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start a worker."""
        self.started += 1
        arguments = (self.started, self.orders.folder)
        process = self.stage.processes.Process(target=workers.work, args=arguments)
        process.start()
        self.workers.append(Worker(self.started, process, now() + self.dice.uniform(*LIVES_FOR)))

    def give_orders(self) -> None:
        """Have an order ready for every child that may start."""
        for _ in range(2 * WORKERS * workers.CHILDREN - len(self.orders.waiting())):
            self.orders.give(self.deaths.next(SLOT))

    def look_after_children(self) -> None:
        """Count those that have died as they were told, and kill those whose time has come."""
        died = self.orders.died()
        for pid, order in self.orders.taken():
            if pid in self.killed:
                continue
            due = self.due.setdefault(pid, now() + self.deaths.patience(order))
            if pid in died:
                self.count(pid, "children at their step", order)
            elif due <= now() and is_alive(pid):
                os.kill(pid, signal.SIGKILL)
                self.count(pid, "children at a random moment", None)

    def look_after_workers(self) -> None:
        """Kill those whose time has come; start others."""
        for worker in list(self.workers):
            if not worker.process.is_alive():
                self.bury(worker)
                self.start()
            elif worker.due <= now():
                self.kill(worker)
                self.start()

    def bury(self, worker: Worker) -> None:
        """Take leave of one that has ended, as Celery does if no child lives to begin its work."""
        self.workers.remove(worker)
        said = (self.orders.folder / f"worker-{worker.number}.log").read_text()
        if "Could not start worker processes" not in said:
            raise RuntimeError(f"a worker ended with {worker.process.exitcode}: {said[-2000:]}")

    def kill(self, worker: Worker) -> None:
        """Kill a worker; the kernel kills its children then, as Celery asks of it."""
        children = worker.children()
        os.killpg(worker.pid, signal.SIGKILL)
        worker.process.join()
        self.workers.remove(worker)
        self.count(worker.pid, "workers", None)
        for pid in children - self.killed:
            self.count(pid, "children with their worker", None)

    def count(self, pid: int, how: str, order: Kill | None) -> None:
        self.killed.add(pid)
        self.how[how] += 1
        self.deaths.happened(order, in_time=order is not None)

    def tend(self) -> None:
        """Have a broker that hands out again what was not acknowledged, and let time pass."""
        if on_redis() and self.redelivered_at <= now():
            redeliver()
            self.redelivered_at = now() + REDELIVERED_EVERY
        pause(PACE)

    def publish_what_is_lost(self) -> None:
        """Publish again what Redis does not have any more, though it never ended.

        A worker takes a message off the list and then writes down that it has it. If it is
        killed in between nobody knows of it; RabbitMQ knows no such moment.
        """
        self.idle = 0 if left_over() else self.idle + 1
        if on_redis() and self.idle >= LOOKS:
            lost = [slot for slot in self.tasks.unfinished() if slot not in self.lost]
            for slot in lost:
                self.tasks.publish(slot)
            self.lost += lost

    def kill_all(self) -> None:
        for worker in list(self.workers):
            self.kill(worker)
        for pid, _ in self.orders.taken():
            if pid not in self.killed and is_alive(pid):
                os.kill(pid, signal.SIGKILL)
                self.count(pid, "children at a random moment", None)


def run(stage: Stage, count: int, seed: int) -> int:
    """Kill ``count`` processes, have the work finished, judge; 1 if a law is broken, else 0."""
    dice = random.Random(seed)
    tasks = Tasks(dice)
    orders = Orders(stage.journal.parent / "orders")
    orders.folder.mkdir()
    this = Run(stage, dice, tasks, Deaths(dice, {SLOT: rehearsal(stage, tasks)}), orders)
    sweeper = stage.processes.Process(target=callers.sweep, args=(None,), daemon=True)
    sweeper.start()
    try:
        slaughter(this, count)
        finish(this)
        sweeper.kill()
        callers.settle()
    finally:
        sweeper.kill()
        this.kill_all()
    return report(this)


def rehearsal(stage: Stage, tasks: Tasks) -> dict[str, int]:
    """Run a task of each mode once, undisturbed: the steps that tasks take, and how often."""
    slots = [tasks.make(mode) for mode in SIZES]
    steps = [*crash.steps(chosen().steps), *STEPS]
    answers = stage.processes.SimpleQueue()
    process = stage.processes.Process(target=workers.rehearse, args=(slots, steps, answers))
    process.start()
    process.join(FINISH)
    if process.exitcode != 0:
        raise RuntimeError(f"the rehearsal ended with {process.exitcode}")
    found: dict[str, int] = answers.get()
    return found


def slaughter(this: Run, count: int) -> None:
    progress = Progress(count, "kills")
    this.give_orders()
    for _ in range(WORKERS):
        this.start()
    while len(this.killed) < count:
        this.tasks.stock()
        this.give_orders()
        this.look_after_children()
        this.look_after_workers()
        this.tend()
        progress.show(min(len(this.killed), count), f"{this.tasks.made} tasks")


def finish(this: Run) -> None:
    """Let workers that nobody kills work off what is enqueued, and end when it is done."""
    this.kill_all()
    this.look_after_children()
    for order in this.orders.waiting():
        order.unlink()
    for _ in range(WORKERS):
        this.start()
    deadline = now() + FINISH
    while now() < deadline and (this.tasks.unfinished() or left_over()):
        this.publish_what_is_lost()
        this.tend()
    for worker in this.workers:
        os.kill(worker.pid, signal.SIGTERM)
    for worker in this.workers:
        worker.process.join(FINISH)
    this.workers = [worker for worker in this.workers if worker.process.is_alive()]


def report(this: Run) -> int:
    history = History(
        intents=tuple(intent.entry() for intent in Intent.objects.all()),
        envelopes=this.stage.envelopes(),
        rows=tuple(chosen().rows()),
        killed=frozenset(this.killed),
    )
    how = ", ".join(f"{number} {name}" for name, number in sorted(this.how.items()))
    print(f"tasks      {this.tasks.made}, of which Redis had lost {len(this.lost)}")
    print(f"killed     {how}")
    kills.summary(history, this.deaths)
    broken = checker.violations(history)
    for slot in this.tasks.unfinished():
        broken.append(f"every_task_ends: {slot} was enqueued, and was never run to its end")
    return verdict(broken)
