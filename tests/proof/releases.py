"""``python -m tests.proof release``: operators work off one release and are killed, then judged."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from notifyguard.actor import unrestricted
from notifyguard.ledger import held
from notifyguard.ledger.held import pace, releases
from notifyguard.ledger.held.choice import EVERYTHING
from notifyguard.models import Released
from tests.proof import checker, crash, workers
from tests.proof.journals import History, Mode
from tests.proof.kills import KILLED
from tests.proof.models import Intent
from tests.proof.protocols import Guarded, operate
from tests.proof.stage import Progress, Stage, verdict

FINISH = 600.0  # seconds for a release of which nobody is killed any more
LATEST_CALL = 30
PORTION = 20  # instead of 200: more steps to die at
STEPS = (
    "notifyguard.ledger.held.letting_go",
    "notifyguard.ledger.queue",
    "notifyguard.ledger.departure",
    "notifyguard.ledger.marks",
    "notifyguard.channels.transport.smtp",
)


@dataclass(slots=True)
class Life:
    """An operator's process, and when it is killed if it has not died before."""

    process: BaseProcess
    due: float


def operator(number: int, kill: crash.Kill | None) -> None:
    """Be an operator who goes on with the release."""
    pace.PORTION = PORTION
    if kill:
        crash.arm(kill)
    # Status 1 says what the laws judge: something is uncertain, or it is done already.
    with redirect_stderr(StringIO()), suppress(SystemExit):
        operate("release", "--continue", str(number), "--reason", "proof")


def run(stage: Stage, count: int, operators: int, kills: int, seed: int) -> int:
    """Release ``count`` held messages by ``operators`` at once; 1 if a law is broken, else 0."""
    dice = random.Random(seed)
    fill(count)
    what = held.meant(EVERYTHING)
    if what is None:
        raise RuntimeError("nothing was held")
    number = releases.begin(what, reason="proof", actor=unrestricted("proof")).pk
    begun = time.monotonic()
    killed = work_off(stage, number, operators, kills, dice)
    took = time.monotonic() - begun
    workers.settle()
    history = History(
        intents=tuple(intent.entry() for intent in Intent.objects.all()),
        envelopes=stage.envelopes(),
        rows=tuple(Guarded().rows()),
        killed=frozenset(killed),
    )
    return report(history, number, took)


def fill(count: int) -> None:
    """Hold so many messages, half of them without a key: no claim would stop a second one."""
    progress, sending = Progress(count, "held"), Guarded()
    sending.hold(wait=False)
    for place in range(count):
        name = f"r{place}"
        intent = Intent(
            slot="release", name=name, mode=Mode.BATCH, recipients=[f"{name}@example.test"],
            committed=True, done=True,
        )  # fmt: skip
        intent.save()
        sending.send(workers.message_of(intent), name if place % 2 else "")
        progress.show(place + 1)
    sending.resume()


def work_off(
    stage: Stage, number: int, operators: int, kills: int, dice: random.Random
) -> set[int]:
    """Have operators go on with the release until it is done; return whom we killed."""
    progress, killed = Progress(kills, "kills"), set[int]()
    lives: list[Life] = []
    deadline = time.monotonic() + FINISH
    try:
        while releases.find(number).state == "running" and time.monotonic() < deadline:
            while len(lives) < operators:
                lives.append(start(stage, number, dice, deadly=len(killed) < kills))
            killed |= buried(lives)
            progress.show(min(len(killed), kills), f"{releases.find(number).let_go} let go")
        for life in lives:  # those who are at work finish it
            life.due = deadline
        while lives:
            killed |= buried(lives)
    finally:
        for life in lives:
            life.process.kill()
    return killed


def start(stage: Stage, number: int, dice: random.Random, *, deadly: bool) -> Life:
    kill = None
    if deadly and dice.random() < 0.5:
        step = dice.choice(crash.steps(STEPS))
        kill = crash.Kill(step, dice.random() < 0.5, dice.randint(1, LATEST_CALL))
    process = stage.processes.Process(target=operator, args=(number, kill), daemon=True)
    process.start()
    patience = dice.uniform(0.3, 2.0) if deadly else FINISH
    return Life(process, time.monotonic() + patience)


def buried(lives: list[Life]) -> set[int]:
    """Wait until one ends or is due; take the dead out and return those that were killed."""
    next_due = min(life.due for life in lives)
    sentinels = [life.process.sentinel for life in lives]
    wait(sentinels, timeout=max(0.0, min(next_due - time.monotonic(), 1.0)))
    killed = set[int]()
    for life in [*lives]:
        if life.process.exitcode is None and life.due > time.monotonic():
            continue
        lives.remove(life)
        life.process.kill()
        life.process.join()
        if life.process.exitcode == KILLED:
            killed.add(life.process.pid or 0)
        elif life.process.exitcode != 0:
            raise RuntimeError(f"an operator ended with {life.process.exitcode}")
    return killed


def report(history: History, number: int, took: float) -> int:
    release = releases.find(number)
    states = Counter(row.state for row in history.rows)
    print(f"kills      {len(history.killed)}")
    print(f"release    {release.state}, {release.let_go} of {release.meant} let go, {took:.0f} s")
    print(f"accepted   {len(history.envelopes)} envelopes, {len(checker.doubled(history))} doubled")
    print(f"ledger     {', '.join(f'{states[s]} {s}' for s in sorted(states))}")
    broken = checker.violations(history)
    if release.state != "done" or release.let_go != len(history.intents):
        broken.append(f"release_is_worked_off: it is {release.state}, {release.let_go} let go")
    if Released.objects.count() != release.let_go:
        broken.append("release_counts_right: its counter and its rows differ")
    sys.stdout.flush()
    return verdict(broken)
