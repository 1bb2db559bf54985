"""Set and clear switches: ``hold``, ``resume``, ``set``."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from django.core.management.base import CommandError

from notifyguard import conf, patterns, switchboard
from notifyguard.decision import Sending
from notifyguard.ledger import held, leases
from notifyguard.ledger.looks import report
from notifyguard.ledger.looks.naming import meant
from notifyguard.management.subcommands import moments, naming
from notifyguard.management.subcommands.stopping import INTERRUPTED
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_why_and_who,
    misuse,
    pattern,
    positive,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries
from notifyguard.switchboard import EVERYTHING

POLL = 0.05
"""Seconds between two looks at what is in the air."""

STILL_IN_THE_AIR = 3
"""Exit status when ``--wait`` gave up: the switch is set, but something is not down yet."""


def _add_hold(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", type=pattern, help='such as "ticket.*"')
    _add_everything(parser)
    _add_until(parser)
    parser.add_argument("--wait", action="store_true", help="until what is in the air has landed")
    parser.add_argument(
        "--timeout",
        type=positive,
        help=f"seconds to wait at most; then the exit status is {STILL_IN_THE_AIR}",
    )
    ask_why_and_who(parser)


def _hold(terminal: Terminal, options: Options) -> None:
    _check_everything(options)
    if options["timeout"] and not options["wait"]:
        raise misuse("--timeout bounds --wait; add it, or leave --timeout out.")
    _set(terminal, options, Sending.HOLD)
    if not options["everything"] and patterns.names_nothing(options["pattern"]):
        terminal.say("Critical types still leave (password resets, error mail to ADMINS).")
        terminal.say('Those too: manage.py notifyguard hold --everything --reason "..."')
    if options["wait"]:
        try:
            _wait(terminal, options["timeout"])
        except KeyboardInterrupt:
            terminal.passing("")
            text = "Stopped waiting. The switch is set; what is in the air still lands."
            raise CommandError(text, returncode=INTERRUPTED) from None


def _add_set(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", type=pattern, help='such as "ticket.modified" or "ticket.*"')
    parser.add_argument("sending", choices=[str(sending) for sending in Sending])
    _add_until(parser)
    ask_why_and_who(parser)


def _set_switch(terminal: Terminal, options: Options) -> None:
    sending = Sending(options["sending"])
    if sending is Sending.DISCARD and not options["until"]:
        raise misuse("discard needs --until: a forgotten switch would lose mail for ever.")
    _set(terminal, {**options, "everything": False}, sending)


def _add_resume(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", type=pattern, help="as it was set")
    _add_everything(parser)
    ask_why_and_who(parser)


def _resume(terminal: Terminal, options: Options) -> None:
    _check_everything(options)
    meant = _meant(options)
    cleared = switchboard.clear_switch(
        options["pattern"],
        reason=options["reason"],
        actor=options["actor"],
        everything=options["everything"],
    )
    if not cleared:
        deciding = _deciding(options["pattern"])
        raise CommandError(f"There is no switch for {meant}; nothing was changed. {deciding}")
    terminal.say(f"The switch for {meant} is gone.")
    _say_what_still_decides(terminal)
    _say_what_is_held(terminal, options["pattern"])


def _set(terminal: Terminal, options: Options, sending: Sending) -> None:
    until = moments.until(options["until"])
    switchboard.set_switch(
        options["pattern"],
        sending,
        reason=options["reason"],
        actor=options["actor"],
        everything=options["everything"],
        expires_at=until,
    )
    what = {Sending.HOLD: "held", Sending.DISCARD: "discarded", Sending.OPEN: "open"}[sending]
    end = f", until {until:%Y-%m-%d %H:%M %Z}".rstrip() if until else ""
    terminal.say(f"{_meant(options)}: {what} from now on{end}, in every process.")
    if conf.current().mode == "bypass":
        terminal.warn('MODE is "bypass": mail leaves unguarded and no switch is obeyed.')
    if not options["everything"]:
        naming.warn_if_nobody_sends(terminal, options["pattern"])
        _say_what_it_does_to_critical_types(terminal, options["pattern"], sending)
    if sending is not Sending.HOLD:
        _say_what_still_decides(terminal, beside=_meant(options))


def _say_what_it_does_to_critical_types(terminal: Terminal, named: str, sending: Sending) -> None:
    if sending is Sending.OPEN or patterns.names_nothing(named):
        return
    settings = conf.current()
    critical = [type for type in meant(named) if settings.for_type(type).critical]
    if critical:
        terminal.warn(f"This names critical types, so they are meant too: {', '.join(critical)}")


def _say_what_still_decides(terminal: Terminal, beside: str = "") -> None:
    others = [ruling for ruling in report.stopping() if _name(ruling.pattern) != beside]
    if others:
        terminal.say("These still stop mail; hold beats discard, and discard beats open:")
        for ruling in others:
            terminal.say(f"  {ruling}")


def _say_what_is_held(terminal: Terminal, named: str) -> None:
    count = sum(group.deliveries for group in held.groups(held.Choice(pattern=named)))
    if count:
        which = "" if patterns.names_nothing(named) else f' "{named}"'
        terminal.say(f"Still held of these types: {deliveries(count)}. Nothing held was sent.")
        terminal.say("To see them: manage.py notifyguard held")
        terminal.say(f'To send them: manage.py notifyguard release{which} --reason "..."')


def _deciding(named: str) -> str:
    ruling = switchboard.board(fresh=True).ruling(named, conf.current())
    return f"It is decided by: {ruling}." if ruling else f"No switch stops {_name(named)}."


def _wait(terminal: Terminal, timeout: int | None) -> None:
    """Wait until nothing that is stopped now is in the air any more."""
    settings, board = conf.current(), switchboard.board(fresh=True)
    deadline = time.monotonic() + timeout if timeout else float("inf")
    while count := leases.in_the_air(lambda type: board.ruling(type, settings) is not None):
        if time.monotonic() > deadline:
            raise CommandError(
                f"The switch is set, but {deliveries(count)} did not land within {timeout} s. "
                "See: manage.py notifyguard status",
                returncode=STILL_IN_THE_AIR,
            )
        terminal.passing(f"{deliveries(count)} in the air")
        time.sleep(POLL)
    terminal.passing("")
    terminal.say("Nothing of it is in the air any more.")


def _add_everything(parser: ArgumentParser) -> None:
    parser.add_argument("--everything", action="store_true", help="critical types too")


def _add_until(parser: ArgumentParser) -> None:
    parser.add_argument("--until", help=f"when it ends: {moments.FORMS}")


def _check_everything(options: Options) -> None:
    if options["everything"] and not patterns.names_nothing(options["pattern"]):
        raise misuse("--everything means all types; leave the pattern out.")


def _meant(options: Options) -> str:
    return _name(EVERYTHING if options["everything"] else options["pattern"])


def _name(named: str) -> str:
    if named == EVERYTHING:
        return "everything (critical types too)"
    return "all types but critical ones" if patterns.names_nothing(named) else named


SUBCOMMANDS = (
    Subcommand("hold", "stop mail: keep it until it is released", _add_hold, _hold),
    Subcommand("resume", "take a switch away; what is held stays held", _add_resume, _resume),
    Subcommand("set", "set a switch to open, hold or discard", _add_set, _set_switch),
)
