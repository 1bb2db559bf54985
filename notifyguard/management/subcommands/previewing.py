"""What is shown before something is let go or dropped, and of what is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from notifyguard.gate.preview import Preview
from notifyguard.ledger.held import Group, Totals
from notifyguard.ledger.held.parts import Part
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries, number, size


def show_groups(terminal: Terminal, groups: Sequence[Group | Part], now: datetime) -> None:
    """Show what is held by type and rule, or by one thing alone."""
    counts = ("deliveries", "people", "size", "oldest", "newest")
    by = ("held",) if groups and isinstance(groups[0], Part) else ("type", "held by")
    terminal.table(
        (*by, *counts),
        [
            (*_named(each), each.deliveries, each.people, size(each.bytes),
             age(each.oldest, now), age(each.newest, now))
            for each in groups
        ],
    )  # fmt: skip


def _named(each: Group | Part) -> tuple[str, ...]:
    return (each.part,) if isinstance(each, Part) else (each.type, each.rule)


def show(terminal: Terminal, seen: Preview) -> None:
    """Show what a release would do."""
    show_groups(terminal, seen.groups, seen.at)
    terminal.say(f"  {summary(seen.totals, seen.at)}")
    for each in seen.findings:
        terminal.warn(f"{deliveries(each.deliveries)}, {each.name}: {each.outcome}")


def summary(totals: Totals, now: datetime) -> str:
    """Return one line on how much is meant."""
    people = number(totals.people, "person", "people")
    amount = f"{deliveries(totals.deliveries, totals.messages)} to {people}, {size(totals.bytes)}"
    oldest = f"; the oldest was sent {age(totals.oldest, now)} ago" if totals.oldest else ""
    return amount + oldest


def facts(seen: Preview) -> dict[str, object]:
    """Return what a release would do, for scripts."""
    return {
        **seen.totals._asdict(),
        "groups": [group._asdict() for group in seen.groups],
        "findings": [asdict(finding) for finding in seen.findings],
    }
