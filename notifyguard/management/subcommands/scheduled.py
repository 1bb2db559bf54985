"""What waits for its time: ``scheduled``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from notifyguard import patterns
from notifyguard.ledger import schedule
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    pattern,
    positive,
)
from notifyguard.management.subcommands.terminal import Terminal

SHOWN = ("due_at", "type", "recipient", "id", "subject")


def show_planned(terminal: Terminal, planned: Sequence[Mapping[str, Any]]) -> None:
    """Show how much is scheduled of each type, and for when; for ``status``."""
    if planned:
        terminal.heading("Scheduled")
        terminal.table(
            ("type", "messages", "first", "last"),
            [(each["type"], each["count"], each["first"], each["last"]) for each in planned],
        )
        terminal.say("Who waits for when: manage.py notifyguard scheduled")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", type=pattern, help='such as "ticket.*"')
    parser.add_argument(
        "--limit", type=positive, default=100, help="at most so many (default: %(default)s)"
    )
    ask_for_json(parser)


def _show(terminal: Terminal, options: Options) -> None:
    # Matched here, since no database knows our globs.
    found = (
        each
        for each in schedule.planned().values(*SHOWN).iterator()
        if patterns.matches(options["pattern"], each["type"])
    )
    shown = list(islice(found, options["limit"]))
    if options["json"]:
        terminal.write_json(shown)
        return
    if not shown:
        terminal.say("Nothing waits for its time.")
        return
    terminal.table(
        ("due", "type", "recipient", "delivery"),
        [(each["due_at"], each["type"], each["recipient"], each["id"]) for each in shown],
    )
    if next(found, None) is not None:
        terminal.say(f"These are the first {len(shown):,}; --limit shows more.")


SUBCOMMANDS = (Subcommand("scheduled", "show who waits for when", _add, _show),)
