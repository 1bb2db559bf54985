"""Deliveries whose fate nobody knows: ``uncertain``, ``resolve``."""

from __future__ import annotations

from argparse import ArgumentParser
from uuid import UUID

from notifyguard import clock, database
from notifyguard.ledger import uncertain
from notifyguard.ledger.uncertain import Finding
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_why_and_who,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries

SHOWN = ("id", "type", "recipient", "message_id", "instance", "created_at", "reason")

WHAT_FOLLOWS = {
    Finding.SENT: "They count as sent; their keys stay taken.",
    Finding.NOT_SENT: "They count as failed; their keys are free, so that they can be sent again.",
    Finding.GIVE_UP: "They count as expired; their keys stay taken, they are not sent again.",
}


def _show_uncertain(terminal: Terminal, options: Options) -> None:
    found = uncertain.uncertain().values(*SHOWN)
    if options["json"]:
        terminal.write_json(list(found))
        return
    now = clock.now(database.connection())
    rows = [
        (each["id"], age(each["created_at"], now), each["type"], each["recipient"],
         each["message_id"], each["instance"])
        for each in found
    ]  # fmt: skip
    if not rows:
        terminal.say("Nothing is uncertain.")
        return
    terminal.table(("delivery", "age", "type", "recipient", "Message-ID", "instance"), rows)
    terminal.say()
    terminal.say("Look for the Message-ID in the mail server's log. Then:")
    terminal.say("manage.py notifyguard resolve DELIVERY --sent|--not-sent|--give-up --reason ...")


def _add_resolve(parser: ArgumentParser) -> None:
    parser.add_argument("ids", metavar="DELIVERY", nargs="+", type=UUID)
    found = parser.add_mutually_exclusive_group(required=True)
    for finding, meaning in (
        (Finding.SENT, "it was accepted by the mail server"),
        (Finding.NOT_SENT, "it was not: its key is freed, and a retry may send it"),
        (Finding.GIVE_UP, "nobody can tell; it is not sent again"),
    ):
        found.add_argument(
            f"--{finding.name.lower().replace('_', '-')}",
            dest="finding",
            action="store_const",
            const=finding,
            help=meaning,
        )
    ask_why_and_who(parser)


def _resolve(terminal: Terminal, options: Options) -> None:
    finding: Finding = options["finding"]
    count = uncertain.resolve(options["ids"], finding, **why_and_who(options))
    terminal.say(f"{deliveries(count)} resolved. {WHAT_FOLLOWS[finding]}")


SUBCOMMANDS = (
    Subcommand("uncertain", "show what may or may not have left", ask_for_json, _show_uncertain),
    Subcommand("resolve", "say what became of them", _add_resolve, _resolve),
)
