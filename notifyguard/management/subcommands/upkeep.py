"""What runs by itself, in a loop or by cron: ``sweep``, ``prune``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from math import inf

from django.db import Error as DatabaseFailure
from django.db import connections

from notifyguard import clock, conf, database, identity, sweeper
from notifyguard.heartbeats import Kind, Pulse
from notifyguard.ledger import retention
from notifyguard.ledger.held import letting_go
from notifyguard.management.subcommands import stopping
from notifyguard.management.subcommands.stopping import Stop
from notifyguard.management.subcommands.subcommand import Options, Subcommand, misuse, positive
from notifyguard.management.subcommands.terminal import Terminal

EVERY = 5
"""Seconds between two sweeps of a loop."""


WHAT_WAS_DONE = {
    "delivered": "taken from the queue",
    "uncertain": "uncertain, their process did not report back",
    "abandoned": "failed, their process died before the hand-over",
    "requeued": "queued again, their sweeper died",
}


def _add_sweep(parser: ArgumentParser) -> None:
    parser.add_argument("--loop", action="store_true", help="again and again, until SIGTERM")
    parser.add_argument(
        "--every", type=positive, help=f"seconds between two of a loop (default: {EVERY})"
    )


def _sweep(terminal: Terminal, options: Options) -> None:
    if options["every"] and not options["loop"]:
        raise misuse("--every is the pause of --loop; add it, or leave --every out.")
    with stopping.between_steps() as stop:
        if options["loop"]:
            _sweep_again_and_again(terminal, stop, options["every"] or EVERY)
        else:
            _sweep_once(terminal, lambda: not stop.told)
        if stop.told:
            terminal.say("Ended after the message that was in hand.")


def _sweep_again_and_again(terminal: Terminal, stop: Stop, pause: int) -> None:
    pulse = Pulse(Kind.SWEEPER, identity.instance(), max(pause, conf.current().heartbeat))

    def go_on() -> bool:
        pulse.beat()
        return not stop.told

    while go_on():
        try:
            _sweep_once(terminal, go_on)
        except DatabaseFailure as error:
            # A database that is restarted must not end the sweeper.
            terminal.warn(f"The sweep failed, the next one is in {pause} s: {_said(error)}")
            connections.close_all()
        stop.wait(min(pause, _until_next_release()))
    pulse.end()


def _until_next_release() -> float:
    """Return for how many seconds no release needs a sweeper: a rate may ask for one each second.

    What cannot be asked now is asked again after the pause.
    """
    with suppress(DatabaseFailure):
        if (next_at := letting_go.next_for_sweepers()) is not None:
            return max(0.0, (next_at - clock.now(database.connection())).total_seconds())
    return inf


def _said(error: DatabaseFailure) -> str:
    # The first line names the fault; those after it show the row, with its address.
    return next(iter(str(error).splitlines()), type(error).__name__)


def _sweep_once(terminal: Terminal, go_on: Callable[[], bool]) -> None:
    swept = asdict(sweeper.sweep(lambda delivered: go_on()))
    chores = swept.pop("chores")
    done = [f"{count:,} {WHAT_WAS_DONE[what]}" for what, count in swept.items() if count]
    if done:
        terminal.say(f"Deliveries swept: {', '.join(done)}")
    for what, count in chores.items():
        if count:
            terminal.say(f"{count:,} {what}")
    terminal.flush()


def _add_prune(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only count what would go")


def _prune(terminal: Terminal, options: Options) -> None:
    old = [(part, count) for part in retention.parts() if (count := part.count())]
    for part, count in old:
        if options["dry_run"]:
            terminal.say(f"{part.name}: {count:,} would be {part.outcome}")
        else:
            terminal.say(f"{part.name}: {_prune_part(terminal, part, count):,} {part.outcome}")
    if not old:
        terminal.say("Nothing is older than RETENTION says.")


def _prune_part(terminal: Terminal, part: retention.Part, count: int) -> int:
    done = 0
    with terminal.progress(count, part.name) as show:
        for ended in part.prune():
            done += ended
            show(done)
    return done


SUBCOMMANDS = (
    Subcommand("sweep", "deliver what a dead process left", _add_sweep, _sweep),
    Subcommand("prune", "delete what is older than RETENTION says", _add_prune, _prune),
)
