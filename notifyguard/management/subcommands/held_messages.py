"""Look at what is held: ``held``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace

from notifyguard import clock, database
from notifyguard.ledger import held
from notifyguard.ledger.held import Group, Held, parts
from notifyguard.ledger.held.parts import Part
from notifyguard.management.subcommands import choosing, previewing
from notifyguard.management.subcommands.subcommand import Options, Subcommand, ask_for_json, misuse
from notifyguard.management.subcommands.terminal import Terminal, age

LISTED = 100
"""Deliveries that are listed for a person who names no limit."""


def _add_held(parser: ArgumentParser) -> None:
    choosing.add_filters(parser)
    choosing.add_rule(parser)
    parser.add_argument("--by", choices=parts.KINDS, help="counted by one thing alone")
    parser.add_argument("--list", action="store_true", help="each delivery with its id, not counts")
    ask_for_json(parser)


def _held(terminal: Terminal, options: Options) -> None:
    if options["list"] and options["by"]:
        raise misuse("--by counts and --list does not; leave one of them out.")
    if options["list"]:
        _list(terminal, options)
        return
    if options["limit"]:
        raise misuse("--limit is for --list; add it, or leave --limit out.")
    choice = choosing.filtered(options)
    groups = parts.parts(options["by"], choice) if options["by"] else held.groups(choice)
    if options["json"]:
        terminal.write_json([group._asdict() for group in groups])
    elif groups:
        _show(terminal, groups)
    else:
        terminal.say("Nothing is held.")


def _list(terminal: Terminal, options: Options) -> None:
    choice = choosing.filtered(options)
    if options["json"]:
        terminal.write_json_rows(_facts(row) for row in held.chosen(choice))
        return
    choice, now = replace(choice, limit=choice.limit or LISTED), clock.now(database.connection())
    shown = 0
    for row in held.chosen(choice):
        shown += 1
        terminal.say(f"{row.id}  {row.rule}, {age(row.created_at, now)} ago")
        terminal.say(f"  {row.type} to {row.recipient}: {row.subject}")
        if not terminal.heard:
            return
    count = sum(group.deliveries for group in held.groups(choice))
    if count > shown:
        terminal.say(f"These are the oldest {shown:,} of {count:,}; --limit {count} shows all.")
    elif not shown:
        terminal.say("Nothing is held.")


def _facts(row: Held) -> dict[str, object]:
    facts = row._asdict()
    del facts["wake_at"]
    return facts


def _show(terminal: Terminal, groups: Sequence[Group | Part]) -> None:
    previewing.show_groups(terminal, groups, clock.now(database.connection()))
    terminal.say()
    terminal.say("To see each with its id: manage.py notifyguard held [PATTERN] --list")
    terminal.say('To send them: manage.py notifyguard release [PATTERN] --reason "..."')
    terminal.say('To drop them: manage.py notifyguard discard-held [PATTERN] --reason "..."')


SUBCOMMANDS = (Subcommand("held", "show what is held", _add_held, _held),)
