"""Let go of what is held: ``release``, ``discard-held``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence

from django.core.management.base import CommandError

from notifyguard import clock, database, sweeper
from notifyguard.decision import State
from notifyguard.ledger import held, report
from notifyguard.ledger.held import Held
from notifyguard.management.subcommands import choosing, stopping
from notifyguard.management.subcommands.stopping import INTERRUPTED, Stop
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_why_and_who,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries, number

HOW_IT_ENDED = {
    State.SENT: "sent",
    State.FAILED: "failed; see the log",
    State.UNCERTAIN: "uncertain: manage.py notifyguard uncertain",
    State.DUPLICATE: "not sent again: another delivery with the same key was",
    State.HELD: "held again: too late by now, not allowed, stopped meanwhile, or damaged",
    State.DISCARDED: "discarded: a switch was set meanwhile",
    State.EXPIRED: "expired: too late by now, as their type says",
    State.QUEUED: "queued: a sweeper delivers them",
    State.CLAIMED: "with another sweeper now",
    State.IN_FLIGHT: "with another sweeper now",
}

UNSENT = (State.FAILED, State.UNCERTAIN, State.HELD)
"""What a released delivery must not end as if all went well."""


def _add_choice(parser: ArgumentParser) -> None:
    choosing.add_choice(parser)
    parser.add_argument(
        "--yes", "--no-input", action="store_true", help="do not ask; for scripts, a must"
    )
    ask_why_and_who(parser)


def _add_release(parser: ArgumentParser) -> None:
    _add_choice(parser)
    parser.add_argument(
        "--later", action="store_true", help="only queue them: a running sweeper delivers them"
    )


def _release(terminal: Terminal, options: Options) -> None:
    choice = choosing.meant(options)
    rows = list(held.chosen(choice))
    if not rows:
        raise choosing.nothing(choice, "releases")
    rows = _without_stopped(terminal, rows)
    _show(terminal, rows, choosing.left(choice, "releases"))
    terminal.confirm(f"Release {_amount(rows)}", sure=options["yes"])
    ids = [row.id for row in rows]
    batches = held.release(ids, subject=str(choice), **why_and_who(options))
    ended: Counter[str] = Counter()
    with stopping.between_steps() as stop, terminal.progress(len(ids), "released") as show:
        for batch in batches:
            if not options["later"]:
                _deliver(show, stop, ended.total())
            ended.update(report.states_of(batch))
            show(ended.total())
            if stop.told:
                break
    _say_how_it_ended(terminal, ended, left=len(ids) - ended.total())


def _deliver(show: Callable[[int], None], stop: Stop, done: int) -> None:
    def go_on(delivered: int) -> bool:
        show(done + delivered)
        return not stop.told

    sweeper.sweep(go_on)


def _say_how_it_ended(terminal: Terminal, ended: Counter[str], *, left: int) -> None:
    for state, count in ended.items():
        terminal.say(f"{count:,} {HOW_IT_ENDED.get(State(state), state)}")
    if left:
        raise CommandError(f"Stopped. {deliveries(left)} stay held.", returncode=INTERRUPTED)
    if unsent := sum(ended[state] for state in UNSENT):
        raise CommandError(f"{deliveries(unsent)} did not leave as they should.")


def _discard_held(terminal: Terminal, options: Options) -> None:
    choice = choosing.meant(options)
    rows = list(held.chosen(choice))
    if not rows:
        raise choosing.nothing(choice, "discards")
    _show(terminal, rows, choosing.left(choice, "discards"))
    terminal.confirm(f"Discard {_amount(rows)}", sure=options["yes"])
    ids, done = [row.id for row in rows], 0
    with stopping.between_steps() as stop, terminal.progress(len(ids), "discarded") as show:
        for batch in held.discard_held(ids, subject=str(choice), **why_and_who(options)):
            done += len(batch)
            show(done)
            if stop.told:
                break
    terminal.say(f"{deliveries(done)} discarded. Their bodies go with one of the next prunes.")
    if done < len(ids):
        rest = deliveries(len(ids) - done)
        raise CommandError(f"Stopped. {rest} stay held.", returncode=INTERRUPTED)


def _without_stopped(terminal: Terminal, rows: Sequence[Held]) -> list[Held]:
    """Leave held what a switch would stop again at once; say so."""
    stopped = held.stopped({row.type for row in rows})
    counts = Counter(row.type for row in rows if row.type in stopped)
    for type, count in counts.items():
        terminal.warn(f"{deliveries(count)} of {type} stay held: {stopped[type]}")
    if len(stopped) == len({row.type for row in rows}):
        raise CommandError("Nothing was released: a switch still stops all of it.")
    return [row for row in rows if row.type not in stopped]


def _show(terminal: Terminal, rows: Sequence[Held], left: str) -> None:
    counts = Counter((row.type, row.rule) for row in rows)
    terminal.table(
        ("type", "held by", "deliveries"), [(*key, count) for key, count in counts.items()]
    )
    people = number(len({row.recipient for row in rows}), "person", "people")
    oldest = age(rows[0].created_at, clock.now(database.connection()))
    terminal.say(f"  {_amount(rows)} to {people}; the oldest was sent {oldest} ago")
    if left:
        terminal.say(f"  {left}")


def _amount(rows: Sequence[Held]) -> str:
    return deliveries(len(rows), len({row.dispatch for row in rows}))


SUBCOMMANDS = (
    Subcommand("release", "send held messages now", _add_release, _release),
    Subcommand("discard-held", "drop held messages", _add_choice, _discard_held),
)
