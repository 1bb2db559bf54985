"""Which held deliveries an operator means, and what is said of those that are not meant."""

from __future__ import annotations

from argparse import ArgumentParser, _ActionsContainer
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from uuid import UUID

from django.core.management.base import CommandError

from notifyguard import patterns
from notifyguard.ledger import held
from notifyguard.ledger.held.choice import Choice, Meant
from notifyguard.management.subcommands import moments
from notifyguard.management.subcommands.subcommand import (
    Options,
    pattern,
    person,
    plain,
    positive,
    size,
)
from notifyguard.management.subcommands.terminal import Terminal

SWITCH = "switch"
"""The rule that holds what a person stopped on purpose, and may let go of in one go."""

_SEE = "See: manage.py notifyguard held"


def add_filters(parser: ArgumentParser) -> None:
    """Add what narrows down the held deliveries, whatever held them."""
    parser.add_argument("pattern", nargs="?", default="*", type=pattern, help='such as "ticket.*"')
    parser.add_argument("--older-than", help=f"only what was sent before: {moments.FORMS}")
    parser.add_argument("--newer-than", help=f"only what was sent since: {moments.FORMS}")
    parser.add_argument("--larger-than", type=size, help='bytes of the message: "500", "20k", "1M"')
    parser.add_argument("--smaller-than", type=size, help="bytes of the message")
    parser.add_argument(
        "--to", type=person, action="append", default=[],
        help='only to this address or domain: "ann@example.com", "example.com"; repeatable',
    )  # fmt: skip
    parser.add_argument("--limit", type=positive, help="at most so many, the oldest first")


def add_rule(parser: _ActionsContainer) -> None:
    """Add ``--rule``."""
    parser.add_argument(
        "--rule", action="append", default=[], type=plain, help="what this rule held; repeatable"
    )


def add_choice(parser: ArgumentParser) -> None:
    """Add what says which held deliveries a deed is for."""
    add_filters(parser)
    rules = parser.add_mutually_exclusive_group()
    add_rule(rules)
    rules.add_argument("--all-rules", action="store_true", help="whatever held it")
    parser.add_argument("--id", type=UUID, nargs="+", help="only these deliveries")


def add_preview(parser: ArgumentParser) -> None:
    """Add ``--preview``."""
    parser.add_argument(
        "--preview", "--dry-run", action="store_true", help="only show what would be done"
    )


def filtered(options: Options) -> Choice:
    """Return what is to be looked at: whatever held it, unless rules are named."""
    return Choice(
        pattern=options["pattern"],
        rules=tuple(options["rule"]),
        older_than=moments.since(options["older_than"]),
        newer_than=moments.since(options["newer_than"]),
        larger_than=options["larger_than"],
        smaller_than=options["smaller_than"],
        people=tuple(options["to"]),
        limit=options["limit"],
    )


def meant(options: Options) -> Choice:
    """Return what a deed is for: what a switch held, unless rules or deliveries are named.

    A conflict, or a message that cannot be restored, was held for a cause which does
    not go away with the switch.
    """
    choice = filtered(options)
    if options["id"]:
        choice = replace(choice, ids=tuple(options["id"]))
    if choice.rules or choice.ids or options["all_rules"]:
        return choice
    return replace(choice, rules=(SWITCH,))


def left(choice: Choice, deed: str) -> str:
    """Return one line on what is held for another cause; ``""`` if there is none.

    Args:
        choice: what was meant.
        deed: what the subcommand does with it, such as ``releases``.
    """
    if not choice.rules:
        return ""
    counts: Counter[str] = Counter()
    for group in held.groups(replace(choice, rules=())):
        if group.rule not in choice.rules:
            counts[group.rule] += group.deliveries
    if not counts:
        return ""
    said = ", ".join(f"{count:,} held as {rule}" for rule, count in counts.items())
    options = " ".join(f"--rule {rule}" for rule in counts)
    return f"{said} were left; {options} {deed} those."


def say_what_is_left(terminal: Terminal, choice: Choice, deed: str) -> None:
    """Say what is held for another cause, if anything is."""
    if said := left(choice, deed):
        terminal.say(f"  {said}")


def waiting(options: Options, deed: str) -> Meant:
    """Return what a deed is for, as it waits now.

    Raises:
        CommandError: nothing does.
    """
    choice = meant(options)
    what = held.meant(choice)
    if what is None:
        raise nothing(choice, deed)
    return what


def nothing(choice: Choice, deed: str) -> CommandError:
    """Return the refusal when nothing is held that was meant, with what may have been."""
    every = held.groups()
    if not every:
        return CommandError("Nothing is held.")
    hints = [
        _did_you_mean(choice.pattern, {group.type for group in every}),
        *(_did_you_mean(rule, {group.rule for group in every}) for rule in choice.rules),
        left(choice, deed) or _SEE,
    ]
    return CommandError(" ".join(["Nothing is held that this means.", *filter(None, hints)]))


def _did_you_mean(written: str, known: Iterable[str]) -> str:
    known = set(known)
    means_some = any(patterns.matches(written, name) for name in known)
    close = [] if means_some else get_close_matches(written, known, n=1)
    return f"Did you mean {close[0]}?" if close else ""
