"""Which uncertain deliveries an operator means."""

from __future__ import annotations

from argparse import ArgumentParser

from notifyguard.ledger.uncertain import Choice
from notifyguard.management.subcommands import moments
from notifyguard.management.subcommands.subcommand import Options, pattern


def add_choice(parser: ArgumentParser) -> None:
    """Add what narrows down the uncertain deliveries."""
    parser.add_argument("--type", type=pattern, metavar="PATTERN", help='such as "ticket.*"')
    parser.add_argument("--older-than", help=f"only what was sent before: {moments.FORMS}")
    parser.add_argument("--newer-than", help=f"only what was sent since: {moments.FORMS}")
    parser.add_argument("--instance", default="", help="only of this host, or process")


def is_narrowed(options: Options) -> bool:
    """Tell whether one of these was given."""
    return any(options[name] for name in ("type", "older_than", "newer_than", "instance"))


def chosen(options: Options) -> Choice:
    """Return what is meant; without an option everything."""
    return Choice(
        pattern=options["type"] or "*",
        older_than=moments.since(options["older_than"]),
        newer_than=moments.since(options["newer_than"]),
        instance=options["instance"],
    )
