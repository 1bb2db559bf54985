"""Show the releases and how far they are: ``releases``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from notifyguard import clock, database
from notifyguard.decision import ENDED
from notifyguard.ledger.held import progress, releases
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    positive,
)
from notifyguard.management.subcommands.terminal import Terminal, age
from notifyguard.management.subcommands.working_off import facts, how_to_go_on, progress_of

SHOWN = 20
"""Releases that are shown when nobody names a limit."""


def show_unfinished(terminal: Terminal, found: Sequence[Mapping[str, Any]]) -> None:
    """Show the releases that still have something to let go; for ``status``."""
    if found:
        terminal.heading("Releases")
        terminal.table(
            ("release", "state", "let go", "of", "what", "why it rests"),
            [
                (each["release"], each["state"], each["let_go"], each["meant"], each["subject"],
                 each["note"])
                for each in found
            ],
        )  # fmt: skip
        terminal.say("How to go on: manage.py notifyguard releases")


def unfinished() -> list[dict[str, Any]]:
    """Return the facts of each release that still has something to let go."""
    return [progress_of(each) for each in progress.unfinished()]


def _add_releases(parser: ArgumentParser) -> None:
    parser.add_argument("--limit", type=positive, default=SHOWN, help="default: %(default)s")
    ask_for_json(parser)


def _releases(terminal: Terminal, options: Options) -> None:
    found = list(releases.recent()[: options["limit"]])
    if options["json"]:
        terminal.write_json_rows(facts(each, releases.outcomes(each)) for each in found)
        return
    if not found:
        terminal.say("Nothing was released yet.")
        return
    now = clock.now(database.connection())
    terminal.table(
        ("release", "state", "let go", "of", "stay held", "by", "begun", "what and why"),
        [
            (each.pk, releases.standing(each), each.let_go, each.meant, each.left, each.actor,
             f"{age(each.begun_at, now)} ago", each.note or f"{each.subject}: {each.reason}")
            for each in found
        ],
    )  # fmt: skip
    for each in found:
        if each.state not in ENDED:
            terminal.say()
            terminal.say(how_to_go_on(each))
            return


SUBCOMMANDS = (
    Subcommand("releases", "show what is being released, and was", _add_releases, _releases),
)
