"""What is enqueued, all of it from one seed; and the deaths that children take up as they start."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.proof.celery.app import VISIBILITY_TIMEOUT, app
from tests.proof.celery.tasks import mail
from tests.proof.crash import Kill
from tests.proof.journals import Mode
from tests.proof.models import Intent
from tests.proof.plans import ONE_FAULT_IN, ONE_ROLLBACK_IN

IN_STOCK = 40  # tasks that are not done
SIZES = {Mode.INLINE: 1, Mode.RETRY: 3, Mode.TWINS: 2, Mode.ATOMIC: 2, Mode.ETA: 1, Mode.EFFECT: 1}
"""How many messages a task of each mode sends."""
FAULTS = ("refuse-550", "busy-once", "drop-before", "drop-after")
FAULTY = (Mode.INLINE, Mode.EFFECT)
ONE_PUBLISHED_TWICE_IN = 6
WITHIN = 2  # seconds, for a task with an ETA: beyond what Redis waits for


@dataclass
class Tasks:
    """Makes up the tasks, and publishes them."""

    dice: random.Random
    made: int = 0

    def stock(self) -> None:
        """Publish as many as are missing."""
        for _ in range(IN_STOCK - len(self.unfinished())):
            self.publish(self.make(self.dice.choice(tuple(SIZES))))

    def unfinished(self) -> list[str]:
        """Return the slots whose tasks have not come to an end."""
        return list(
            Intent.objects.filter(done=False)
            .order_by("slot")
            .values_list("slot", flat=True)
            .distinct()
        )

    def make(self, mode: Mode) -> str:
        """Write down what one task is to send; return its slot, which is its id too."""
        self.made += 1
        slot = f"t{self.made}"
        fault = mode in FAULTY and self._one_in(ONE_FAULT_IN)
        rolls_back = mode is Mode.ATOMIC and self._one_in(ONE_ROLLBACK_IN)
        for number in range(SIZES[mode]):
            name = f"{slot}-{number}"
            local = f"{self.dice.choice(FAULTS)}+{name}" if fault else name
            local = slot if mode is Mode.TWINS else local
            Intent.objects.create(
                slot=slot,
                name=name,
                recipients=[f"{local}@example.test"],
                mode=mode,
                fault=fault,
                rolls_back=rolls_back,
            )
        return slot

    def publish(self, slot: str) -> None:
        """Publish the task of a slot, now and then twice, as after a lost reply."""
        is_far = Intent.objects.filter(slot=slot)[0].mode == Mode.ETA
        countdown = VISIBILITY_TIMEOUT + WITHIN if is_far else None
        for _ in range(2 if self._one_in(ONE_PUBLISHED_TWICE_IN) else 1):
            mail.apply_async((slot,), task_id=slot, countdown=countdown)

    def _one_in(self, number: int) -> bool:
        return self.dice.randrange(number) == 0


class Orders:
    """A folder in which children find how they are to die, and say that they do.

    Files and no queue: who is killed while it takes one leaves no lock behind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._given = 0

    def give(self, kill: Kill | None) -> None:
        """Leave an order for the next child; ``None`` for a random moment."""
        self._given += 1
        written = self.folder / "being written"
        written.write_text(json.dumps(kill and asdict(kill)))
        written.rename(self.folder / f"order-{self._given:06}")

    def waiting(self) -> list[Path]:
        """Return the orders that nobody has taken, the oldest first."""
        return sorted(self.folder.glob("order-*"))

    def take(self) -> Kill | None:
        """Be a child: take an order, if there is one."""
        for order in self.waiting():
            taken = self.folder / f"taken-{os.getpid()}"
            try:
                order.rename(taken)
            except FileNotFoundError:
                continue  # another was quicker
            found = json.loads(taken.read_text())
            return found and Kill(**found)
        return None

    def taken(self) -> Iterator[tuple[int, Kill | None]]:
        """Yield each child that has taken an order, and the order."""
        for path in self.folder.glob("taken-*"):
            found = json.loads(path.read_text())
            yield int(path.name.partition("-")[2]), found and Kill(**found)

    def die(self) -> None:
        """Be a child that dies at its step, and leave word of it."""
        (self.folder / f"died-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def died(self) -> set[int]:
        """Return who has died at its step."""
        return {int(path.name.partition("-")[2]) for path in self.folder.glob("died-*")}


def on_redis() -> bool:
    """Tell which broker it is."""
    return str(app.conf.broker_url).startswith("redis")


def redeliver() -> None:
    """Hand out again what nobody has acknowledged in time, as any app on a Redis does."""
    options = {"visibility_timeout": VISIBILITY_TIMEOUT}
    with app.connection_for_write(transport_options=options) as connection:
        connection.default_channel.qos.restore_visible(interval=1)


def left_over() -> int:
    """Return how many messages the broker has; RabbitMQ does not tell of those that are taken."""
    queue = app.conf.task_default_queue
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        if on_redis():
            return int(channel.client.llen(queue) + channel.client.hlen(channel.unacked_key))
        return int(channel.queue_declare(queue, passive=True).message_count)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has asked after yet has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def now() -> float:
    """Seconds of the clock that only runs forward."""
    return time.monotonic()
