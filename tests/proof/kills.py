"""``python -m tests.proof kills``: callers and a sweeper, killed again and again, then judged."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from tests.proof import checker, crash, workers
from tests.proof.journals import History
from tests.proof.models import Intent
from tests.proof.plans import CALLERS, CONTROL, SWEEPER, Deaths, Mail
from tests.proof.protocols import chosen
from tests.proof.stage import Progress, Stage, verdict

FINISH = 120.0  # seconds for what the callers still mean to send
KILLED = -signal.SIGKILL


@dataclass(slots=True)
class Life:
    """One process of a slot, and how it is to end."""

    process: BaseProcess
    kill: crash.Kill | None
    due: float


@dataclass
class Run:
    """The processes of a run. A slot's process is started again whenever it ends."""

    stage: Stage
    mail: Mail
    deaths: Deaths
    stop: Event
    lives: dict[str, Life] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)

    def start(self, slot: str, *, deadly: bool = True) -> None:
        kill = self.deaths.next(slot) if deadly else None
        due = time.monotonic() + self.deaths.patience(kill) if deadly else float("inf")
        process = self._process(slot, kill)
        process.start()
        self.lives[slot] = Life(process, kill, due)

    def _process(self, slot: str, kill: crash.Kill | None) -> BaseProcess:
        new = self.stage.processes.Process
        if slot == CONTROL:
            return new(target=workers.controls, args=(slot, self.stop), daemon=True)
        if slot == SWEEPER:
            return new(target=workers.sweep, args=(kill,), daemon=True)
        return new(target=workers.work, args=(slot, CALLERS[slot], kill), daemon=True)

    def ended(self) -> Iterator[str]:
        """Wait until a process ends, by its own hand or at its time; yield the slots now free."""
        next_due = min(life.due for life in self.lives.values())
        sentinels = [life.process.sentinel for life in self.lives.values()]
        wait(sentinels, timeout=max(0.0, min(next_due - time.monotonic(), 1.0)))
        for slot, life in list(self.lives.items()):
            in_time = life.process.exitcode is not None
            if in_time or life.due <= time.monotonic():
                self.bury(slot, in_time=in_time)
                yield slot

    def bury(self, slot: str, *, in_time: bool) -> None:
        """Count a dead process, killed now if it lives; one that broke otherwise ends the run."""
        life = self.lives.pop(slot)
        life.process.kill()
        life.process.join()
        if life.process.exitcode == KILLED:
            self.killed.add(life.process.pid or 0)
            self.deaths.happened(life.kill, in_time=in_time)
        elif life.process.exitcode != 0:
            raise RuntimeError(f"the {slot} process ended with {life.process.exitcode}")

    def kill_all(self, *, except_for: str = "") -> None:
        for slot in self.lives.keys() - {except_for}:
            self.bury(slot, in_time=False)


def run(stage: Stage, count: int, seed: int) -> int:
    """Kill ``count`` processes, finish their work, judge; 1 if a law is broken, else 0."""
    protocol = chosen()
    dice = random.Random(seed)
    mail = Mail(dice)
    deaths = Deaths(dice, rehearsal(stage, mail))
    this = Run(stage, mail, deaths, stage.processes.Event())
    try:
        slaughter(this, count)
        finish(this)
        workers.settle()
    finally:
        this.kill_all()
    history = History(
        intents=tuple(intent.entry() for intent in Intent.objects.all()),
        envelopes=stage.envelopes(),
        rows=tuple(protocol.rows()),
        killed=frozenset(this.killed),
    )
    return report(history, deaths)


def rehearsal(stage: Stage, mail: Mail) -> dict[str, dict[str, int]]:
    """Have each slot do its work once, undisturbed: the steps it takes, and how often."""
    answers = stage.processes.SimpleQueue()
    for slot in CALLERS:
        mail.stock(slot)
    for slot in [*CALLERS, SWEEPER]:
        arguments = (slot, CALLERS.get(slot), answers)
        process = stage.processes.Process(target=workers.rehearse, args=arguments, daemon=True)
        process.start()
        process.join(FINISH)
        if process.exitcode != 0:
            raise RuntimeError(f"the rehearsal of {slot} ended with {process.exitcode}")
    return dict(answers.get() for _ in [*CALLERS, SWEEPER])


def slaughter(this: Run, count: int) -> None:
    progress = Progress(count, "kills")
    this.start(CONTROL, deadly=False)
    for slot in CALLERS:
        this.mail.stock(slot)
    for slot in [*CALLERS, SWEEPER]:
        this.start(slot)
    while len(this.killed) < count:
        for slot in this.ended():
            if slot in CALLERS:
                this.mail.stock(slot)
            this.start(slot)
        progress.show(min(len(this.killed), count), f"{this.mail.made} intents")


def finish(this: Run) -> None:
    """End what still runs, let callers work off what they mean to send, then end the controls."""
    this.kill_all(except_for=CONTROL)
    for slot in CALLERS:
        this.start(slot, deadly=False)
    deadline = time.monotonic() + FINISH
    while this.lives.keys() != {CONTROL}:
        list(this.ended())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sorted(this.lives)} still at work after {FINISH} s")
    this.stop.set()
    while this.lives:
        list(this.ended())


def report(history: History, deaths: Deaths) -> int:
    summary(history, deaths)
    return verdict(checker.violations(history))


def summary(history: History, deaths: Deaths) -> None:
    states = Counter(row.state for row in history.rows)
    uncertain = [row.recipient for row in history.rows if row.state == "uncertain"]
    arrived = sum(recipient in history.accepted_by_recipient for recipient in uncertain)
    print(f"kills      {len(history.killed)} at {len(deaths.met)} different moments")
    print(f"intents    {len(history.intents)}")
    print(f"accepted   {len(history.envelopes)} envelopes, {len(checker.doubled(history))} doubled")
    print(f"ledger     {', '.join(f'{states[s]} {s}' for s in sorted(states))}")
    print(f"uncertain  {len(uncertain)}, of which {arrived} had been accepted")
    print(f"given up   {sum(row.given_up for row in history.rows)}, after three deaths")
    for moment, number in sorted(deaths.met.items()):
        print(f"  {number:4} {moment}")
    print(f"steps that nobody died at: {', '.join(deaths.missed()) or 'none'}")
