"""The processes of a run: callers that retry with the same key until they know, and the sweeper."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet

from tests.proof import crash
from tests.proof.checker import UNFINISHED
from tests.proof.journals import Mode
from tests.proof.models import Intent
from tests.proof.protocols import SWEEP_PACE, chosen, pause

BATCH = 20
RETRIES = 1
SETTLE = 60.0  # seconds for the last sweeps
CONTROL_PACE = 0.05  # seconds between two controls
# The server cuts these connections or refuses: the caller learns it as an exception.
FAULTS = (smtplib.SMTPException, OSError)

Steps = tuple[str, dict[str, int]]


class RollbackError(Exception):
    """What makes a caller's transaction fail after the message was sent in it."""


def work(slot: str, mode: Mode, kill: crash.Kill | None) -> None:
    """Be the caller of one slot until nothing waits in it, or until killed."""
    if kill:
        crash.arm(kill)
    for batch in waiting(slot, BATCH if mode is Mode.BATCH else 1):
        for _ in range(1 + RETRIES):
            if handed_over(HAND_OVER[mode], batch):
                break
        if mode not in OWN_COMMIT:
            commit(batch)
        rows_of(batch).update(done=True)


def sweep(kill: crash.Kill | None) -> None:
    """Be the sweeper until killed."""
    if kill:
        crash.arm(kill)
    chosen().sweep(loop=True)


def rehearse(slot: str, mode: Mode | None, answers: SimpleQueue[Steps]) -> None:
    """Do a slot's work once, undisturbed, and answer which steps it takes and how often."""
    calls = crash.tally(crash.steps(chosen().steps))
    if mode is None:
        settle()
    else:
        work(slot, mode, None)
    answers.put((slot, dict(calls)))


def settle() -> None:
    """Sweep until nothing is on its way, or until that is hopeless: then a law will say so."""
    protocol = chosen()
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        protocol.sweep()
        if not any(row.state in UNFINISHED for row in protocol.rows()):
            return
        pause(SWEEP_PACE)


def waiting(slot: str, size: int) -> Iterator[list[Intent]]:
    """The slot's intents that nobody has acknowledged yet, ``size`` at a time."""
    while batch := list(Intent.objects.filter(slot=slot, done=False)[:size]):
        yield batch


def handed_over(hand_over: Callable[[Sequence[Intent]], None], batch: Sequence[Intent]) -> bool:
    """Whether the caller is through with the batch, or would try it again."""
    try:
        hand_over(batch)
    except FAULTS:
        return False
    except RollbackError:
        return True
    return True


def commit(batch: Sequence[Intent]) -> None:
    rows_of(batch).update(committed=True)


def rows_of(batch: Sequence[Intent]) -> QuerySet[Intent]:
    return Intent.objects.filter(pk__in=[intent.pk for intent in batch])


def inline(batch: Sequence[Intent]) -> None:
    (intent,) = batch
    chosen().send(message_of(intent), intent.name)


def in_batch(batch: Sequence[Intent]) -> None:
    chosen().send_batch([message_of(i) for i in batch], [i.name for i in batch])


def in_atomic(batch: Sequence[Intent]) -> None:
    with transaction.atomic():
        commit(batch)
        inline(batch)
        if batch[0].rolls_back:
            raise RollbackError


def for_the_sweeper(batch: Sequence[Intent]) -> None:
    """With autocommit off nothing runs on commit: the row is the sweeper's."""
    transaction.set_autocommit(False)
    try:
        commit(batch)
        inline(batch)
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


HAND_OVER: dict[Mode, Callable[[Sequence[Intent]], None]] = {
    Mode.INLINE: inline,
    Mode.ATOMIC: in_atomic,
    Mode.BATCH: in_batch,
    Mode.SWEEPER: for_the_sweeper,
}
OWN_COMMIT = frozenset({Mode.ATOMIC, Mode.SWEEPER})


def controls(slot: str, stop: Event) -> None:
    """Mail without a key, from a process that is left alone."""
    for number in count():
        name = f"{slot}-{number}"
        intent = Intent.objects.create(
            slot=slot, name=name, recipients=[f"{name}@example.test"], mode=Mode.CONTROL
        )
        chosen().send(message_of(intent), "")
        Intent.objects.filter(pk=intent.pk).update(committed=True, done=True)
        if stop.wait(CONTROL_PACE):
            return


def message_of(intent: Intent, **headers: Any) -> EmailMessage:
    return EmailMessage(
        subject=f"Ticket {intent.name} was modified",
        body=f"The ticket {intent.name} that you watch was modified.",
        from_email="tickets@example.test",
        to=intent.recipients,
        headers={"X-Intent": intent.name, **headers},
    )
