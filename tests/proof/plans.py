"""What is sent and when who is killed, all of it from one seed."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.proof.crash import Kill
from tests.proof.journals import Mode
from tests.proof.models import Intent

CALLERS = {
    "inline-1": Mode.INLINE,
    "inline-2": Mode.INLINE,
    "atomic": Mode.ATOMIC,
    "batch": Mode.BATCH,
    "deferred": Mode.SWEEPER,
}
CONTROL = "control"
SWEEPER = "sweeper"
IN_STOCK = 60  # intents that wait in a slot when its process starts
# The server is asked to misbehave for one in so many; in a batch Django gives up the rest.
FAULTS = ("refuse-550", "drop-before", "drop-after")
ONE_FAULT_IN = 20
ONE_ROLLBACK_IN = 4
ONE_PAIR_IN = 5  # messages with two recipients
ONE_TWIN_IN = 6  # the same key in every slot at once: the cloned server
TWINS = ("inline-1", "inline-2", "atomic", "batch")


@dataclass
class Mail:
    """Makes up the intents."""

    dice: random.Random
    made: int = 0

    def stock(self, slot: str) -> None:
        """Fill a slot up, some of its intents being shared with its twins."""
        missing = IN_STOCK - Intent.objects.filter(slot=slot, done=False).count()
        Intent.objects.bulk_create([i for _ in range(missing) for i in self._next(slot)])

    def _next(self, slot: str) -> Iterator[Intent]:
        self.made += 1
        name = f"n{self.made}"
        if slot in TWINS and self._one_in(ONE_TWIN_IN):
            for twin in TWINS:
                yield self._intent(twin, name, [f"{name}@example.test"])
            return
        fault = slot != "batch" and self._one_in(ONE_FAULT_IN)
        local = f"{self.dice.choice(FAULTS)}+{name}" if fault else name
        recipients = [f"{local}@example.test"]
        if not fault and self._one_in(ONE_PAIR_IN):
            recipients.append(f"{name}@example.org")
        intent = self._intent(slot, name, recipients)
        intent.fault = fault
        intent.rolls_back = slot == "atomic" and self._one_in(ONE_ROLLBACK_IN)
        yield intent

    def _intent(self, slot: str, name: str, recipients: list[str]) -> Intent:
        return Intent(slot=slot, mode=CALLERS[slot], name=name, recipients=recipients)

    def _one_in(self, number: int) -> bool:
        return self.dice.randrange(number) == 0


@dataclass
class Deaths:
    """Says how each process dies: at a named step, or at a random moment.

    Every step has its turn before and after it in each slot; a step that a slot
    does not reach in time is not tried there again.
    """

    dice: random.Random
    steps: list[str]
    met: Counter[str] = field(default_factory=Counter)
    _turns: defaultdict[str, list[Kill]] = field(default_factory=lambda: defaultdict(list))
    _unreached: set[tuple[str, str]] = field(default_factory=set)

    def next(self, slot: str) -> Kill | None:
        """The step to die at, or ``None`` for a random moment."""
        if not self.steps or self.dice.random() < 0.3:
            return None
        if not self._turns[slot]:
            self._turns[slot] = self._shuffled(slot)
        return self._turns[slot].pop() if self._turns[slot] else None

    def patience(self, kill: Kill | None) -> float:
        """Seconds after which the process is killed in any case."""
        return 1.0 if kill else self.dice.uniform(0.03, 0.6)

    def happened(self, slot: str, kill: Kill | None, *, in_time: bool) -> None:
        if kill and not in_time:
            self._unreached.add((slot, kill.step))
            self._turns[slot] = [k for k in self._turns[slot] if k.step != kill.step]
        self.met[str(kill) if kill and in_time else "at a random moment"] += 1

    def _shuffled(self, slot: str) -> list[Kill]:
        kills = [
            Kill(step, before, self.dice.randint(1, 6))
            for step in self.steps
            for before in (True, False)
            if (slot, step) not in self._unreached
        ]
        self.dice.shuffle(kills)
        return kills
