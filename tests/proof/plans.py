"""What is sent and when who is killed, all of it from one seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
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
RANDOM = 0.3  # share of the deaths at a random moment
LATEST_CALL = 3  # a step kills at this call of it at the latest
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

    ``steps`` are those that each slot was seen to take, and how often: each step has
    its turn, before it and after it.
    """

    dice: random.Random
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)

    def next(self, slot: str) -> Kill | None:
        """The step to die at, or ``None`` for a random moment."""
        if not self.steps.get(slot) or self.dice.random() < RANDOM:
            return None
        # The one that had the fewest turns anywhere; lots are drawn among equals.
        chosen = min(self._kills(slot), key=lambda k: (self.tried[str(k)], self.dice.random()))
        self.tried[str(chosen)] += 1
        return chosen

    def patience(self, kill: Kill | None) -> float:
        """Seconds after which the process is killed in any case."""
        return 4.0 if kill else self.dice.uniform(0.05, 1.0)

    def happened(self, kill: Kill | None, *, in_time: bool) -> None:
        self.met[str(kill) if kill and in_time else "at a random moment"] += 1

    def missed(self) -> list[str]:
        """The steps that somebody takes and nobody died at, before or after."""
        taken = {step for steps in self.steps.values() for step in steps}
        return sorted(
            str(kill)
            for step in taken
            for kill in (Kill(step, True), Kill(step, False))
            if not self.met[str(kill)]
        )

    def _kills(self, slot: str) -> Iterator[Kill]:
        for step, calls in self.steps[slot].items():
            for before in (True, False):
                yield Kill(step, before, self.dice.randint(1, min(calls, LATEST_CALL)))
