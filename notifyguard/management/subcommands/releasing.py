"""Let go of what is held: ``release``."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta

from django.core.management.base import CommandError

from notifyguard import clock, database
from notifyguard.gate import preview
from notifyguard.gate.preview import Preview
from notifyguard.ledger import held, leases
from notifyguard.ledger.held import releases
from notifyguard.ledger.held.choice import EVERYTHING
from notifyguard.management.subcommands import choosing, previewing, working_off
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_if_sure,
    ask_why_and_who,
    misuse,
    positive,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries
from notifyguard.models import Release

SILENT_AFTER = timedelta(minutes=5)
"""A sweeper that has not run for so long is not running."""


def _add_release(parser: ArgumentParser) -> None:
    choosing.add_choice(parser)
    choosing.add_preview(parser)
    parser.add_argument(
        "--canary", type=_canary, default=0, metavar="N", help="let N go, show them, and wait"
    )
    parser.add_argument("--rate", type=positive, metavar="N", help="N deliveries a minute at most")
    parser.add_argument(
        "--later", action="store_true", help="only begin it: running sweepers work it off"
    )
    parser.add_argument(
        "--keep-repeats", action="store_true", help="send what says the same more than once"
    )
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--continue", type=positive, metavar="RELEASE", help="go on with a release")
    known.add_argument("--stop", type=positive, metavar="RELEASE", help="end a release")
    ask_if_sure(parser)
    ask_why_and_who(parser, required=False)
    ask_for_json(parser)


def _canary(text: str) -> int:
    number = positive(text)
    if number > releases.MOST_IN_CANARY:
        most = f"{releases.MOST_IN_CANARY:,}"
        raise ArgumentTypeError(f"a canary has at most {most} deliveries: somebody looks at each")
    return number


def _release(terminal: Terminal, options: Options) -> None:
    if options["continue"] or options["stop"]:
        _go_on_or_end(terminal, options)
        return
    why = {} if options["preview"] else why_and_who(options)
    what = choosing.waiting(options, "releases")
    seen = preview.preview(what, keeps_repeats=options["keep_repeats"])
    if not options["json"]:
        previewing.show(terminal, seen)
        choosing.say_what_is_left(terminal, what.choice, "releases")
    if options["preview"]:
        if options["json"]:
            terminal.write_json(previewing.facts(seen))
        return
    if len(held.stopped(what.types)) == len(what.types):
        raise CommandError("Nothing was released: a switch still stops all of it.")
    terminal.confirm(f"Release {_amount(seen)}", sure=options["yes"])
    begun = releases.begin(
        what,
        rate=options["rate"],
        canary=options["canary"],
        by_sweepers=options["later"],
        keeps_repeats=options["keep_repeats"],
        **why,
    )
    _work(terminal, begun, options)


def _go_on_or_end(terminal: Terminal, options: Options) -> None:
    _refuse_a_choice(options)
    why = why_and_who(options)
    if options["stop"]:
        ended = releases.stop(options["stop"], **why)
        _say(terminal, ended, options, f"Release {ended.pk} is stopped.")
        return
    # Who continues it works it off, unless sweepers shall.
    number = options["continue"]
    continued = releases.continue_(number, by_sweepers=options["later"], **why)
    _work(terminal, continued, options)


def _work(terminal: Terminal, release: Release, options: Options) -> None:
    if not options["later"]:
        working_off.work_off(terminal, release, options)
        return
    if _no_sweeper_runs():
        terminal.warn("No sweeper has run for five minutes: manage.py notifyguard sweep --loop")
    text = f"Release {release.pk} is begun; a sweeper works it off."
    _say(terminal, release, options, f"{text} See: manage.py notifyguard releases")


def _say(terminal: Terminal, release: Release, options: Options, text: str) -> None:
    if options["json"]:
        terminal.write_json(working_off.facts(release, releases.outcomes(release)))
    else:
        terminal.say(text)


def _refuse_a_choice(options: Options) -> None:
    for name in ("canary", "rate", "keep_repeats", "preview", "all_rules", "id"):
        if options[name]:
            raise misuse(f"--{name.replace('_', '-')} is for a release that is begun.")
    if choosing.filtered(options) != EVERYTHING:
        raise misuse("What a release is for was said when it was begun; name no choice.")


def _no_sweeper_runs() -> bool:
    swept = leases.last_sweep()
    return swept is None or swept.ran_at < clock.now(database.connection()) - SILENT_AFTER


def _amount(seen: Preview) -> str:
    return deliveries(seen.totals.deliveries, seen.totals.messages)


SUBCOMMANDS = (Subcommand("release", "send held messages now", _add_release, _release),)
