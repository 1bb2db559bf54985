"""Did Ann get it, and why not: ``why``."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from itertools import islice

from notifyguard import conf
from notifyguard.channels import email
from notifyguard.ledger.looks import search
from notifyguard.ledger.looks.story import moment, story
from notifyguard.management.subcommands import moments, naming
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    pattern,
    positive,
)
from notifyguard.management.subcommands.terminal import Terminal
from notifyguard.models import Delivery

SHOWN = 20
"""Deliveries that are shown when nobody names a limit."""

LONGEST = 1_000
"""Characters of an address with the name before it."""


def _add_why(parser: ArgumentParser) -> None:
    parser.add_argument(
        "address", type=_address, help='"ann@example.com"; a name before it is fine'
    )
    parser.add_argument("--type", type=pattern, default="*", help='such as "ticket.*"')
    parser.add_argument("--since", help=f"only what was sent since: {moments.FORMS}")
    parser.add_argument("--limit", type=positive, default=SHOWN, help="default: %(default)s")
    ask_for_json(parser)


def _address(text: str) -> str:
    if not text.strip() or len(text) > LONGEST:
        raise ArgumentTypeError('write an address, such as "ann@example.com"')
    return email.normalised(text)


def _why(terminal: Terminal, options: Options) -> None:
    since = moments.since(options["since"])
    found = search.deliveries_to(options["address"], types=options["type"], since=since)
    newest = list(islice(found, options["limit"] + 1))
    shown = newest[: options["limit"]]
    if options["json"]:
        terminal.write_json_rows(_facts(shown))
    elif shown:
        _tell(terminal, shown)
        if len(newest) > len(shown):
            terminal.say()
            terminal.say(f"These are the newest {len(shown):,}; --limit shows more.")
    else:
        _say_what_nothing_means(terminal, options)


def _tell(terminal: Terminal, deliveries: Sequence[Delivery]) -> None:
    duplicates = search.duplicates_of(deliveries)
    for each in deliveries:
        terminal.say(f"{moment(each.created_at)}  {each.type}: {each.subject}")
        terminal.say_indented(story(each, duplicates.get(each.id, 0)))
        whence = filter(None, (each.origin, each.call_site, each.task_id, each.instance))
        terminal.say_indented(f"{each.id}, from {', '.join(whence)}")


def _facts(deliveries: Sequence[Delivery]) -> list[dict[str, object]]:
    names = ("id", "type", "state", "rule", "reason", "subject", "created_at", "changed_at")
    duplicates = search.duplicates_of(deliveries)
    return [
        {name: getattr(each, name) for name in names}
        | {"story": story(each, duplicates.get(each.id, 0))}
        for each in deliveries
    ]


def _say_what_nothing_means(terminal: Terminal, options: Options) -> None:
    address, days = options["address"], conf.current().retention.deliveries.days
    if next(search.deliveries_to(address), None):
        terminal.say(f"Nothing to {address} that --type and --since mean; leave them out.")
        naming.warn_if_nobody_sends(terminal, options["type"])
        return
    terminal.say(f"The ledger knows of no delivery to {address}.")
    terminal.say(f"Nothing was sent to it by this project in the last {days} days, or it was sent")
    terminal.say("past Django; what is older is pruned (RETENTION).")
    if likely := search.similar(address):
        terminal.say(f"Did you mean {' or '.join(likely)}?")


SUBCOMMANDS = (Subcommand("why", "what became of mail to an address", _add_why, _why),)
