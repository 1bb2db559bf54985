"""Run a command or program that notifies nobody: ``exec``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from django.core.management import get_commands
from django.db import Error as DatabaseFailure

from notifyguard import clock, database, inherited
from notifyguard.ledger import deeds
from notifyguard.ledger.looks import report
from notifyguard.management.subcommands import children, naming
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_why_and_who,
    misuse,
    pattern,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries


def _add_exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suppress", required=True, type=pattern, metavar="PATTERN")
    ask_why_and_who(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- command ...")


def _exec(terminal: Terminal, options: Options) -> None:
    command = _command(options["command"])
    words = _words(command)
    try:
        environment = inherited.extended(os.environ, options["suppress"], options["reason"])
    except ValueError as error:
        raise misuse(str(error)) from error
    naming.warn_if_nobody_sends(terminal, options["suppress"])
    began = clock.now(database.connection())
    deeds.record_suppression(options["suppress"], command[0], **why_and_who(options))
    # What runs may take hours; no server keeps a connection for so long.
    database.connection().close()
    terminal.flush()
    status = children.run(words, environment)
    _say_what_was_suppressed(terminal, began, options["reason"])
    if status:
        raise SystemExit(status)


def _command(written: Sequence[str]) -> Sequence[str]:
    # Python 3.13 takes the dashes away itself, earlier ones leave them.
    command = written[1:] if written[:1] == ["--"] else written
    if not command:
        raise misuse('Say what to run: ... exec --suppress "*" --reason "..." -- command')
    return command


def _words(command: Sequence[str]) -> Sequence[str]:
    """Return the arguments of the process that shall run."""
    if command[0] in get_commands():
        return [*_manage(), *command]
    if shutil.which(command[0]) is None:
        raise misuse(_cannot_run(command[0]))
    return command


def _manage() -> list[str]:
    """Return how this very command was started: with which Python, options and script."""
    own = sys.argv[1:]
    if own[:1] == ["notifyguard"] and sys.orig_argv[-len(own) :] == own:
        return [sys.executable, *sys.orig_argv[1 : -len(own)]]
    return [sys.executable, "-m", "django"]


def _cannot_run(name: str) -> str:
    if Path(name).is_file():
        return f"{name} is not executable. Did you mean: python {name}?"
    text = f"{name!r} is neither a management command of this project nor a program on the PATH."
    likely = get_close_matches(name, get_commands(), n=1)
    return f"{text} Did you mean {likely[0]}?" if likely else text


def _say_what_was_suppressed(terminal: Terminal, began: datetime, reason: str) -> None:
    try:
        counts = report.suppressed_since(began, reason)
    except DatabaseFailure as error:  # it must not hide the status of what has run
        terminal.warn(f"What was suppressed cannot be counted, the database failed: {error}")
        return
    if not counts:
        terminal.say("Nothing was suppressed.")
        return
    terminal.say(f"{deliveries(sum(counts.values()))} suppressed:")
    terminal.table(("type", "deliveries"), list(counts.items()))


SUBCOMMANDS = (Subcommand("exec", "run a command that notifies nobody", _add_exec, _exec),)
