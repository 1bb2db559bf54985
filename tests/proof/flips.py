"""``python -m tests.proof flips``: the kill switch against workers at full speed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from statistics import median

from django.core.mail import EmailMessage
from django.db import transaction

from tests.proof import checker
from tests.proof.journals import Envelope, History, Stop
from tests.proof.protocols import Sending, chosen, pause
from tests.proof.stage import Progress, Stage, verdict

BATCH = 20
OPEN = (0.1, 0.3)  # seconds that everything stays open, at least and at most
STOPPED = (0.05, 0.2)
# What can be judged by the ledger and the sink alone: here nobody writes intents.
LAWS = (checker.accepted_is_recorded, checker.sent_was_accepted, checker.not_left_was_not_accepted)

Answers = SimpleQueue[tuple[float, float]]


def send_at_full_speed(number: int, ended: Event) -> None:
    """Be one of the workers: alone or in batches, with a key or without, in ``atomic()`` or not."""
    protocol = chosen()
    ways = (one_with_key, one_without_key, one_in_atomic, a_batch)
    way = ways[number % len(ways)]
    names = (f"w{number}-{serial}" for serial in count())
    while not ended.is_set():
        way(protocol, f"w{number}", names)


def one_with_key(protocol: Sending, worker: str, names: Iterator[str]) -> None:
    name = next(names)
    protocol.send(message_of(worker, name), name)


def one_without_key(protocol: Sending, worker: str, names: Iterator[str]) -> None:
    protocol.send(message_of(worker, next(names)), "")


def one_in_atomic(protocol: Sending, worker: str, names: Iterator[str]) -> None:
    with transaction.atomic():
        one_with_key(protocol, worker, names)


def a_batch(protocol: Sending, worker: str, names: Iterator[str]) -> None:
    batch = [next(names) for _ in range(BATCH)]
    protocol.send_batch([message_of(worker, name) for name in batch], batch)


def message_of(worker: str, name: str) -> EmailMessage:
    return EmailMessage(
        subject=f"Ticket {name} was modified",
        body=f"The ticket {name} that you watch was modified.",
        from_email="tickets@example.test",
        to=[f"{name}@example.test"],
        headers={"X-Intent": name, "X-Worker": worker},
    )


def run(stage: Stage, processes: int, flips: int, seed: int) -> int:
    """Flip the kill switch ``flips`` times under ``processes`` workers; 1 if any mail slips out."""
    ended = stage.processes.Event()
    workers = [
        stage.processes.Process(target=send_at_full_speed, args=(number, ended), daemon=True)
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        took, stops = flipped(stage, flips, random.Random(seed))
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    broken = [f"worker_ended: {w.name} with {w.exitcode}" for w in workers if w.exitcode]
    envelopes = stage.envelopes()
    unseen = {f"w{number}" for number in range(processes)} - {e.worker for e in envelopes}
    broken += [f"worker_sent: {worker} never got one out" for worker in sorted(unseen)]
    slipped = checker.stopped_means_stopped(stops, envelopes)
    broken += [f"stopped_means_stopped: {sentence}" for sentence in slipped]
    history = History(envelopes=envelopes, rows=tuple(chosen().rows()))
    broken += checker.violations(history, LAWS)
    return report(envelopes, took, stops, broken)


def flipped(stage: Stage, flips: int, dice: random.Random) -> tuple[list[float], list[Stop]]:
    """Stop and open ``flips`` times, every second time with ``--wait``."""
    progress = Progress(flips, "flips")
    answers: Answers = stage.processes.SimpleQueue()
    took: list[float] = []
    stops: list[Stop] = []
    for number in range(flips):
        pause(dice.uniform(*OPEN))
        waited = number % 2 == 1
        in_a_process_of_its_own(stage, hold, answers, waited)
        begun, told = answers.get()
        pause(dice.uniform(*STOPPED))
        stops.append(Stop(told, time.time(), waited))
        took.append(told - begun)
        in_a_process_of_its_own(stage, resume)
        progress.show(number + 1)
    return took, stops


def hold(answers: Answers, wait: bool) -> None:
    """Be the operator. What counts is when the command says so, before its process has ended."""
    begun = time.time()
    answers.put((begun, chosen().hold(wait=wait)))


def resume() -> None:
    chosen().resume()


def in_a_process_of_its_own(stage: Stage, work: Callable[..., None], *arguments: object) -> None:
    process = stage.processes.Process(target=work, args=arguments, daemon=True)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the operator's command ended with {process.exitcode}")


def report(
    envelopes: Sequence[Envelope], took: Sequence[float], stops: Sequence[Stop], broken: list[str]
) -> int:
    stopped = sum(stop.reopened - stop.returned for stop in stops)
    late = sum(stop.returned < e.begun < stop.reopened for stop in stops for e in envelopes)
    print(f"flips      {len(stops)}, half of them with --wait; stopped for {stopped:.1f} s in all")
    print(f"accepted   {len(envelopes)} envelopes, {late} of them in the air at a stop's return")
    for name, times in (("hold", took[::2]), ("  --wait", took[1::2] or [0.0])):
        print(f"{name:10} median {median(times) * 1000:.0f}, slowest {max(times) * 1000:.0f} ms")
    return verdict(broken)
