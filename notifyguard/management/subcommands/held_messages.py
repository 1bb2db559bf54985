"""Look at what is held: ``held``."""

from __future__ import annotations

from argparse import ArgumentParser

from notifyguard import clock, database
from notifyguard.ledger import held
from notifyguard.management.subcommands import choosing
from notifyguard.management.subcommands.subcommand import Options, Subcommand, ask_for_json
from notifyguard.management.subcommands.terminal import Terminal, age


def _add_held(parser: ArgumentParser) -> None:
    choosing.add_filters(parser)
    choosing.add_rule(parser)
    ask_for_json(parser)


def _held(terminal: Terminal, options: Options) -> None:
    groups = held.groups(choosing.filtered(options))
    if options["json"]:
        terminal.write_json([group._asdict() for group in groups])
        return
    if not groups:
        terminal.say("Nothing is held.")
        return
    now = clock.now(database.connection())
    terminal.table(
        ("type", "held by", "deliveries", "people", "oldest", "newest"),
        [
            (each.type, each.rule, each.deliveries, each.people,
             age(each.oldest, now), age(each.newest, now))
            for each in groups
        ],
    )  # fmt: skip
    terminal.say()
    terminal.say('To send them: manage.py notifyguard release [PATTERN] --reason "..."')
    terminal.say('To drop them: manage.py notifyguard discard-held [PATTERN] --reason "..."')


SUBCOMMANDS = (Subcommand("held", "show what is held", _add_held, _held),)
