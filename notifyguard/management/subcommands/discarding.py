"""Drop what is held: ``discard-held``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from notifyguard.ledger import held
from notifyguard.ledger.held import Meant, Totals
from notifyguard.management.subcommands import choosing, previewing, stopping
from notifyguard.management.subcommands.stopping import INTERRUPTED
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_if_sure,
    ask_why_and_who,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries


def _add_discard_held(parser: ArgumentParser) -> None:
    choosing.add_choice(parser)
    choosing.add_preview(parser)
    ask_if_sure(parser)
    ask_why_and_who(parser, required=False)
    ask_for_json(parser)


def _discard_held(terminal: Terminal, options: Options) -> None:
    why = {} if options["preview"] else why_and_who(options)
    what = choosing.waiting(options, "discards")
    totals = held.totals(what)
    if not options["json"]:
        _show(terminal, what, totals)
    elif options["preview"]:
        groups = [group._asdict() for group in held.groups_of(what)]
        terminal.write_json({**totals._asdict(), "groups": groups})
    if options["preview"]:
        return
    amount = deliveries(totals.deliveries, totals.messages)
    terminal.confirm(f"Discard {amount}", sure=options["yes"])
    done = _discard(terminal, what, totals.deliveries, why)
    left = what.rows().count()
    if options["json"]:
        terminal.write_json({"discarded": done, "left": left})
    else:
        said = f"{deliveries(done)} discarded. Their bodies go with one of the next prunes."
        terminal.say(said)
    if left:
        raise CommandError(f"Stopped. {deliveries(left)} stay held.", returncode=INTERRUPTED)


def _show(terminal: Terminal, what: Meant, totals: Totals) -> None:
    previewing.show_groups(terminal, held.groups_of(what), what.at)
    terminal.say(f"  {previewing.summary(totals, what.at)}")
    choosing.say_what_is_left(terminal, what.choice, "discards")


def _discard(terminal: Terminal, what: Meant, total: int, why: dict[str, Any]) -> int:
    done = 0
    with stopping.between_steps() as stop, terminal.progress(total, "discarded") as show:
        for count in held.discard(what, **why):
            done += count
            show(done)
            if stop.told:
                break
    return done


SUBCOMMANDS = (Subcommand("discard-held", "drop held messages", _add_discard_held, _discard_held),)
