"""Addresses that get nothing: ``block``, ``unblock``, ``blocked``."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import CommandError

from notifyguard import blocked
from notifyguard.management.subcommands import moments
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_why_and_who,
    positive,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, number

SHOWN = ("address", "everything", "reason", "author", "blocked_at", "expires_at")

LISTED = 100
"""Addresses that are listed for a person who names no limit."""


def _add_addresses(parser: ArgumentParser) -> None:
    parser.add_argument("address", nargs="+", help='"ann@example.com"; a name before it is fine')


def _add_block(parser: ArgumentParser) -> None:
    _add_addresses(parser)
    parser.add_argument("--everything", action="store_true", help="critical types too")
    parser.add_argument("--until", help=f"when it ends: {moments.FORMS}")
    ask_why_and_who(parser)


def _block(terminal: Terminal, options: Options) -> None:
    until = moments.until(options["until"])
    count = blocked.block(
        options["address"],
        everything=options["everything"],
        expires_at=until,
        **why_and_who(options),
    )
    end = f", until {until:%Y-%m-%d %H:%M %Z}".rstrip() if until else ""
    terminal.say(f"{_addresses(count)} blocked from now on{end}, in every process.")
    if not options["everything"]:
        terminal.say("Critical types still reach them (password resets); --everything blocks those")
        terminal.say("too.")


def _add_unblock(parser: ArgumentParser) -> None:
    _add_addresses(parser)
    ask_why_and_who(parser)


def _unblock(terminal: Terminal, options: Options) -> None:
    freed = blocked.unblock(options["address"], **why_and_who(options))
    if not freed:
        raise CommandError("None of these was blocked; nothing was changed.")
    terminal.say(f"{_addresses(len(freed))} no longer blocked: {', '.join(freed)}")
    terminal.say("What was discarded for that is not sent by this. To have it back, held:")
    terminal.say('manage.py notifyguard undo-discard --rule blocked --reason "..."')


def _add_blocked(parser: ArgumentParser) -> None:
    parser.add_argument("beginning", nargs="?", default="", help="of the address; all without it")
    parser.add_argument("--limit", type=positive, default=LISTED, help="default: %(default)s")
    ask_for_json(parser)


def _blocked(terminal: Terminal, options: Options) -> None:
    found = blocked.listed(options["beginning"].strip().lower())
    if options["json"]:
        terminal.write_json_rows(found.values(*SHOWN).iterator())
        return
    shown = list(found[: options["limit"] + 1])
    if not shown:
        terminal.say("Nobody is blocked." if not options["beginning"] else "No such block.")
        return
    terminal.table(
        ("address", "what", "since", "ends", "by", "reason"),
        [
            (each.address, "everything" if each.everything else "all but critical",
             each.blocked_at, each.expires_at or "never", each.author, each.reason)
            for each in shown[: options["limit"]]
        ],
    )  # fmt: skip
    if len(shown) > options["limit"]:
        terminal.say(f"These are the first {options['limit']:,}; --limit shows more.")


def _addresses(count: int) -> str:
    return number(count, "address", "addresses")


SUBCOMMANDS = (
    Subcommand("block", "send nothing to some addresses", _add_block, _block),
    Subcommand("unblock", "take addresses off the list again", _add_unblock, _unblock),
    Subcommand("blocked", "show who is blocked, and why", _add_blocked, _blocked),
)
