"""Look at held messages and let them go: ``held``, ``release``, ``discard-held``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import UUID

from django.core.management.base import CommandError

from notifyguard import clock, database, sweeper
from notifyguard.decision import State
from notifyguard.ledger import held, report
from notifyguard.ledger.held import Choice, Held
from notifyguard.management.subcommands import moments
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_why_and_who,
    pattern,
    positive,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries, number

HOW_IT_ENDED = {
    State.SENT: "sent",
    State.FAILED: "failed; see the log",
    State.UNCERTAIN: "uncertain: manage.py notifyguard uncertain",
    State.DUPLICATE: "not sent again: another delivery with the same key was",
    State.HELD: "held again: a switch was set meanwhile, or they cannot be restored",
    State.DISCARDED: "discarded: a switch was set meanwhile",
    State.QUEUED: "queued: a sweeper delivers them",
    State.CLAIMED: "with another sweeper now",
    State.IN_FLIGHT: "with another sweeper now",
}


def _show_held(terminal: Terminal, options: Options) -> None:
    groups = held.groups()
    if options["json"]:
        terminal.write_json(groups)
        return
    if not groups:
        terminal.say("Nothing is held.")
        return
    now = clock.now(database.connection())
    terminal.table(
        ("type", "held by", "messages", "people", "oldest", "newest"),
        [
            (each["type"], each["rule"], each["count"], each["people"],
             age(each["oldest"], now), age(each["newest"], now))
            for each in groups
        ],
    )  # fmt: skip
    terminal.say()
    terminal.say('To send them: manage.py notifyguard release [PATTERN] --reason "..."')
    terminal.say('To drop them: manage.py notifyguard discard-held [PATTERN] --reason "..."')


def _add_choice(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", type=pattern, help='such as "ticket.*"')
    parser.add_argument("--rule", default="", help="only what this rule held")
    parser.add_argument("--older-than", help=f"only what was sent before: {moments.FORMS}")
    parser.add_argument("--newer-than", help=f"only what was sent since: {moments.FORMS}")
    parser.add_argument("--limit", type=positive, help="at most so many, the oldest first")
    parser.add_argument("--id", type=UUID, nargs="+", default=(), help="only these deliveries")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    ask_why_and_who(parser)


def _add_release(parser: ArgumentParser) -> None:
    _add_choice(parser)
    parser.add_argument(
        "--later", action="store_true", help="only queue them: a running sweeper delivers them"
    )


def _release(terminal: Terminal, options: Options) -> None:
    choice = _choice(options)
    rows = _without_stopped(terminal, held.chosen(choice))
    _show(terminal, rows)
    terminal.confirm(f"Release {deliveries(len(rows))}", sure=options["yes"])
    ids = [row.id for row in rows]
    batches = held.release(ids, subject=str(choice), **why_and_who(options))
    ended: Counter[str] = Counter()
    with terminal.progress(len(ids), "released") as show:
        for batch in batches:
            done = ended.total()
            if not options["later"]:
                _deliver(show, done)
            ended.update(report.states_of(batch))
            show(ended.total())
    for state, count in ended.items():
        terminal.say(f"{count:,} {HOW_IT_ENDED.get(State(state), state)}")


def _deliver(show: Callable[[int], None], done: int) -> None:
    def go_on(delivered: int) -> bool:
        show(done + delivered)
        return True

    sweeper.sweep(go_on)


def _discard_held(terminal: Terminal, options: Options) -> None:
    choice = _choice(options)
    rows = held.chosen(choice)
    _show(terminal, rows)
    terminal.confirm(f"Discard {deliveries(len(rows))}", sure=options["yes"])
    done = 0
    with terminal.progress(len(rows), "discarded") as show:
        ids = [row.id for row in rows]
        for batch in held.discard_held(ids, subject=str(choice), **why_and_who(options)):
            done += len(batch)
            show(done)
    terminal.say(f"{deliveries(done)} discarded. Their bodies go with one of the next prunes.")


def _choice(options: Options) -> Choice:
    return Choice(
        pattern=options["pattern"],
        rule=options["rule"],
        older_than=moments.since(options["older_than"]),
        newer_than=moments.since(options["newer_than"]),
        limit=options["limit"],
        ids=tuple(options["id"]),
    )


def _without_stopped(terminal: Terminal, rows: Sequence[Held]) -> list[Held]:
    """Leave held what a switch would stop again at once; say so."""
    stopped = held.stopped({row.type for row in rows})
    counts = Counter(row.type for row in rows if row.type in stopped)
    for type, count in counts.items():
        terminal.warn(f"{deliveries(count)} of {type} stay held: {stopped[type]}")
    return [row for row in rows if row.type not in stopped]


def _show(terminal: Terminal, rows: Sequence[Held]) -> None:
    if not rows:
        raise CommandError("Nothing is held that this means. See: manage.py notifyguard held")
    counts = Counter((row.type, row.rule) for row in rows)
    terminal.table(
        ("type", "held by", "messages"), [(*key, count) for key, count in counts.items()]
    )
    people = len({row.recipient for row in rows})
    oldest = age(rows[0].created_at, clock.now(database.connection()))
    terminal.say(f"  to {number(people, 'person', 'people')}; the oldest was sent {oldest} ago")


SUBCOMMANDS = (
    Subcommand("held", "show what is held", ask_for_json, _show_held),
    Subcommand("release", "send held messages now", _add_release, _release),
    Subcommand("discard-held", "drop held messages", _add_choice, _discard_held),
)
