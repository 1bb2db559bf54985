"""Run a management command that notifies nobody: ``exec``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from django.core.management import ManagementUtility, get_commands
from django.core.management.base import CommandError

from notifyguard import clock, context, database
from notifyguard.ledger import report
from notifyguard.management.subcommands.subcommand import Options, Subcommand, pattern, reason
from notifyguard.management.subcommands.terminal import Terminal, deliveries


def _add_exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suppress", required=True, type=pattern, metavar="PATTERN")
    parser.add_argument("--reason", required=True, type=reason, help="why; it is kept on record")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- command ...")


def _exec(terminal: Terminal, options: Options) -> None:
    words = _words(options["command"])
    began = clock.now(database.connection())
    try:
        with context.suppressed(options["suppress"], reason=options["reason"]):
            ManagementUtility().fetch_command(words[0]).run_from_argv([sys.argv[0], *words])
    finally:
        _say_what_was_suppressed(terminal, report.suppressed_since(began, options["reason"]))


def _words(command: Sequence[str]) -> Sequence[str]:
    # Python 3.13 takes the dashes away itself, earlier ones leave them.
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise CommandError('Say what to run: ... exec --suppress "*" --reason "..." -- command')
    if words[0] not in get_commands():
        raise CommandError(
            f"{words[0]!r} is not a management command of this project. A program of another "
            "kind cannot be suppressed from outside: use notifyguard.suppressed() in it."
        )
    return words


def _say_what_was_suppressed(terminal: Terminal, counts: dict[str, int]) -> None:
    if not counts:
        terminal.say("Nothing was suppressed.")
        return
    terminal.say(f"{deliveries(sum(counts.values()))} suppressed:")
    terminal.table(("type", "deliveries"), list(counts.items()))


SUBCOMMANDS = (Subcommand("exec", "run a command that notifies nobody", _add_exec, _exec),)
