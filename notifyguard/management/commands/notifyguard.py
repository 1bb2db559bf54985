"""``manage.py notifyguard``: stop, look, release."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import Error as DatabaseFailure

from notifyguard.checks import TAG
from notifyguard.exceptions import LedgerUnavailable, NotifyguardError
from notifyguard.gate.failures import tables_are_missing
from notifyguard.management.subcommands import every_subcommand
from notifyguard.management.subcommands.stopping import INTERRUPTED
from notifyguard.management.subcommands.terminal import Terminal

_ELSEWISE = (
    'To stop mail without it, set NOTIFYGUARD = {"SENDING": "hold"} in the settings, or '
    "NOTIFYGUARD_SENDING=hold in the environment, and restart."
)


class Command(BaseCommand):
    """Translates: each subcommand is a function of ``notifyguard.management.subcommands``."""

    help = "Stop mail, see what was held and why, and let it go."
    # A mistyped setting must not keep anybody from stopping mail: it is said, that is all.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for subcommand in every_subcommand():
            added = subparsers.add_parser(
                subcommand.name, help=subcommand.help, description=subcommand.help
            )
            subcommand.add_arguments(added)

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("NO_COLOR") and not options["force_color"]:
            self.style, self.stderr.style_func = no_style(), None
        terminal = Terminal(self.stdout, self.stderr, self.style)
        _warn_of_settings(terminal)
        run = next(each.run for each in every_subcommand() if each.name == options["subcommand"])
        try:
            run(terminal, options)
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=INTERRUPTED) from None
        except LedgerUnavailable as error:
            raise CommandError(f"{error} {_ELSEWISE}") from error
        except NotifyguardError as refusal:
            raise CommandError(str(refusal)) from refusal
        except DatabaseFailure as error:
            raise CommandError(_unreachable(error)) from error
        finally:
            terminal.flush()


def _warn_of_settings(terminal: Terminal) -> None:
    for problem in checks.run_checks(tags=[TAG]):
        if problem.is_serious():
            terminal.warn(f"{problem.msg} {problem.hint or ''}".strip())


def _unreachable(error: Exception) -> str:
    if tables_are_missing():
        return f"The ledger has no tables yet. Run: manage.py migrate notifyguard. {_ELSEWISE}"
    return f"The ledger's database failed, nothing more was done: {error} {_ELSEWISE}"
