"""Deliveries whose fate nobody knows: ``uncertain``, ``resolve``."""

from __future__ import annotations

from argparse import ArgumentParser
from uuid import UUID

from django.core.management.base import CommandError

from notifyguard import clock, database
from notifyguard.ledger import uncertain
from notifyguard.ledger.uncertain import Finding, Uncertain
from notifyguard.management.subcommands.choosing_uncertain import (
    add_choice,
    chosen,
    is_narrowed,
)
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_why_and_who,
    positive,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries, number

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
    parser.add_argument("ids", metavar="DELIVERY", nargs="*", type=UUID)
    add_choice(parser)
    parser.add_argument("--all", action="store_true", help="everything that is uncertain")
    parser.add_argument("--count", type=positive, help="what you saw that it is; else it is asked")
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
    if options["ids"] and is_narrowed(options):
        raise CommandError("Name deliveries, or say which are meant by options; not both.")
    if options["ids"]:
        count = uncertain.resolve(options["ids"], finding, **why_and_who(options))
    elif is_narrowed(options) or options["all"]:
        count = _resolve_many(terminal, options, finding)
    else:
        raise CommandError("Name deliveries, or what is meant: --type, --instance, ... or --all.")
    terminal.say(f"{deliveries(count)} resolved. {WHAT_FOLLOWS[finding]}")


def _resolve_many(terminal: Terminal, options: Options, finding: Finding) -> int:
    choice = chosen(options)
    meant = list(uncertain.chosen(choice))
    if not meant:
        text = "Nothing is uncertain that this means. See: manage.py notifyguard uncertain"
        raise CommandError(text)
    _preview(terminal, meant)
    _agree(terminal, len(meant), finding, options["count"])
    found = [(row.id, "") for row in meant]
    done = 0
    with terminal.progress(len(found), "deliveries") as show:
        for ended in uncertain.resolve_many(
            found, finding, subject=str(choice), **why_and_who(options)
        ):
            done += ended
            show(done)
    return done


def _preview(terminal: Terminal, meant: list[Uncertain]) -> None:
    now = clock.now(database.connection())
    people = len({row.recipient for row in meant})
    terminal.say(f"{deliveries(len(meant))} to {number(people, 'person', 'people')}:")
    by_type: dict[str, list[Uncertain]] = {}
    for row in meant:
        by_type.setdefault(row.type, []).append(row)
    terminal.table(
        ("type", "deliveries", "oldest", "newest"),
        [
            (type, len(rows), age(rows[0].created_at, now), age(rows[-1].created_at, now))
            for type, rows in sorted(by_type.items())
        ],
    )


def _agree(terminal: Terminal, count: int, finding: Finding, said: int | None) -> None:
    """Have the operator type the number: a yes is typed too easily for what cannot be undone."""
    if said is None:
        said = terminal.ask_number(f"Type their number to resolve them as {finding.value}")
    if said != count:
        raise CommandError(f"{deliveries(count)} are meant and not {said:,}. Nothing was changed.")


SUBCOMMANDS = (
    Subcommand("uncertain", "show what may or may not have left", ask_for_json, _show_uncertain),
    Subcommand("resolve", "say what became of them", _add_resolve, _resolve),
)
