"""Have back what was discarded: ``undo-discard``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from dataclasses import replace

from django.core.management.base import CommandError

from notifyguard import conf
from notifyguard.ledger.held import undoing
from notifyguard.ledger.held.choice import Choice
from notifyguard.management.subcommands import choosing, stopping
from notifyguard.management.subcommands.stopping import INTERRUPTED
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_if_sure,
    ask_why_and_who,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries


def _add_undo_discard(parser: ArgumentParser) -> None:
    choosing.add_choice(parser)
    choosing.add_preview(parser)
    ask_if_sure(parser)
    ask_why_and_who(parser, required=False)


def _undo_discard(terminal: Terminal, options: Options) -> None:
    why = {} if options["preview"] else why_and_who(options)
    choice = _meant(options)
    counts = Counter((row.type, row.rule) for row in undoing.discarded(choice))
    if not counts:
        raise _nothing(choice)
    terminal.table(
        ("type", "discarded by", "deliveries"), [(*key, count) for key, count in counts.items()]
    )
    if options["preview"]:
        return
    total = counts.total()
    terminal.confirm(f"Hold {deliveries(total)} again", sure=options["yes"])
    done = taken = 0
    with stopping.between_steps() as stop, terminal.progress(total, "had back") as show:
        for undone in undoing.undo_discard(choice, **why):
            done, taken = done + undone.held, taken + undone.taken
            show(done + taken)
            if stop.told:
                break
    terminal.say(f"{deliveries(done)} held again. Nothing was sent.")
    if taken:
        said = "stay discarded: another delivery with their key was, or will be, sent"
        terminal.say(f"{deliveries(taken)} {said}.")
    terminal.say(f"To send them: manage.py notifyguard release --rule {undoing.UNDONE}")
    if done + taken < total:
        raise CommandError("Stopped. The rest stay discarded.", returncode=INTERRUPTED)


def _meant(options: Options) -> Choice:
    """Return what is meant: what a person discarded, unless rules or deliveries are named."""
    choice = choosing.filtered(options)
    if options["id"]:
        choice = replace(choice, ids=tuple(options["id"]))
    if choice.rules or choice.ids or options["all_rules"]:
        return choice
    return replace(choice, rules=undoing.BY_PERSON)


def _nothing(choice: Choice) -> CommandError:
    others = Counter(row.rule for row in undoing.discarded(Choice()))
    days = conf.current().retention.bodies.total_seconds() / 86_400
    kept = f"What is discarded can be had back for {days:g} days."
    if not others:
        return CommandError(f"Nothing that was discarded is kept. {kept}")
    said = ", ".join(f"{count:,} by {rule} (--rule {rule})" for rule, count in others.items())
    return CommandError(f"Nothing was discarded that this means. Kept are: {said}. {kept}")


SUBCOMMANDS = (
    Subcommand("undo-discard", "have discarded messages held again", _add_undo_discard,
               _undo_discard),
)  # fmt: skip
