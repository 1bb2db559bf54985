"""What runs by itself, in a loop or by cron: ``sweep``, ``prune``."""

from __future__ import annotations

import queue
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType

from django.db import Error as DatabaseFailure
from django.db import connections

from notifyguard import sweeper
from notifyguard.ledger import retention
from notifyguard.management.subcommands.subcommand import Options, Subcommand, positive
from notifyguard.management.subcommands.terminal import Terminal

EVERY = 5
"""Seconds between two sweeps of a loop."""


class Stop:
    """Whether this process was told to end, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        # Its put() may be called from a signal handler; that of an Event may deadlock there.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.told = False

    def tell(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.told = True
        self._signals.put(number)

    def wait(self, seconds: float) -> None:
        """Wait, unless told to end before the time is up."""
        try:
            self._signals.get(timeout=seconds)
        except queue.Empty:
            pass


@contextmanager
def _ending_cleanly() -> Iterator[Stop]:
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread is told of signals
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop.tell) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _add_sweep(parser: ArgumentParser) -> None:
    parser.add_argument("--loop", action="store_true", help="again and again, until SIGTERM")
    parser.add_argument(
        "--every", type=positive, default=EVERY, help="seconds between two (default: %(default)s)"
    )


def _sweep(terminal: Terminal, options: Options) -> None:
    with _ending_cleanly() as stop:
        if not options["loop"]:
            _sweep_once(terminal, stop)
        while options["loop"] and not stop.told:
            try:
                _sweep_once(terminal, stop)
            except DatabaseFailure as error:
                # A database that is restarted must not end the sweeper.
                terminal.warn(
                    f"The sweep failed, the next one is in {options['every']} s: {_said(error)}"
                )
                connections.close_all()
            stop.wait(options["every"])
        if stop.told:
            terminal.say("Ended after the message that was in hand.")


def _said(error: DatabaseFailure) -> str:
    # The first line names the fault; those after it show the row, with its address.
    return next(iter(str(error).splitlines()), type(error).__name__)


def _sweep_once(terminal: Terminal, stop: Stop) -> None:
    swept = asdict(sweeper.sweep(lambda delivered: not stop.told))
    done = ", ".join(f"{count:,} {what}" for what, count in swept.items() if count)
    if done:
        terminal.say(f"Swept: {done}")
        terminal.out.flush()


def _add_prune(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only count what would go")


def _prune(terminal: Terminal, options: Options) -> None:
    old = [(part, count) for part in retention.parts() if (count := part.count())]
    for part, count in old:
        if options["dry_run"]:
            terminal.say(f"{count:,} {part.name} would be {part.outcome}")
        else:
            terminal.say(f"{_prune_part(terminal, part, count):,} {part.name} {part.outcome}")
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
