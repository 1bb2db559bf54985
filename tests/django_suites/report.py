"""What one run of the suites found, and what two of them must have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

NOTHING = "no message reached a backend: the suites did not run"
COUNTS = ("reached", "asked", "judged", "unready")
PASSED = ("ok", "skipped", "expected failure")


@dataclass
class Report:
    """One run.

    Attributes:
        outcomes: test id to ``ok``, ``failed``, ``error``, ``skipped``, ...
        databaseless: the tests that failed and whose class forbids the database.
        reached: messages handed to the outermost backend, counted beneath notifyguard.
        asked: messages the gate was asked about.
        judged: messages the gate put before its rules.
        unready: messages it judged and could not build or find a connection for.
    """

    outcomes: dict[str, str] = field(default_factory=dict)
    databaseless: list[str] = field(default_factory=list)
    reached: int = 0
    asked: int = 0
    judged: int = 0
    unready: int = 0

    def counts(self) -> dict[str, int]:
        """The messages counted up to now."""
        return {name: getattr(self, name) for name in COUNTS}

    def take_back(self, counts: dict[str, int]) -> None:
        """Set the counts to what they were, as if a test had not been."""
        for name, count in counts.items():
            setattr(self, name, count)

    @property
    def broken(self) -> list[str]:
        """The tests that did not pass."""
        return [test for test, outcome in self.outcomes.items() if outcome not in PASSED]

    def write(self, path: Path) -> None:
        """Keep the report for the process that compares."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Report:
        """Return what ``write`` kept."""
        return cls(**json.loads(path.read_text()))


def light_differences(without: Report, light: Report) -> Iterator[str]:
    """Say where notifyguard in light mode was not invisible."""
    if not light.reached:
        yield NOTHING
    if light.asked != light.reached:
        yield f"the gate was asked about {light.asked} messages, {light.reached} got through"
    if light.reached != without.reached:
        yield f"{light.reached} messages reached a backend, {without.reached} without notifyguard"
    for test in sorted(without.outcomes.keys() | light.outcomes.keys()):
        before, after = without.outcomes.get(test, "absent"), light.outcomes.get(test, "absent")
        if before != after:
            yield f"{test}: {before} without notifyguard, {after} with it"


def full_differences(without: Report, full: Report) -> Iterator[str]:
    """Say where the whole gate broke a test that allows the database."""
    if not full.reached:
        yield NOTHING
    if full.judged != full.reached + full.unready:
        yield (
            f"{full.judged} messages were judged, {full.reached} reached a backend "
            f"and {full.unready} could not be built or connected for"
        )
    excused = set(full.databaseless) | set(without.broken)
    for test in full.broken:
        if test not in excused:
            yield f"{test}: {full.outcomes[test]}, though it allows the database"
