"""What a run needs around it: a mail server, a database, and processes quick to start."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.proof.journals import Envelope, read_envelopes
from tests.smtp import running_sink

SHOWN = 40


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place; its processes are forked from a clean one that has Django loaded."""

    journal: Path
    processes: ForkServerContext

    def envelopes(self) -> tuple[Envelope, ...]:
        return read_envelopes(self.journal)


@contextmanager
def stage(database: str, protocol: str) -> Iterator[Stage]:
    """Start the sink, create the database and load Django; take all of it down at the end.

    Must come before anything of Django is imported that needs settings.
    """
    # Whoever ends this process must not leave its workers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with TemporaryDirectory(prefix="notifyguard-proof-") as folder, running_sink() as sink:
        name = f"notifyguard_proof_{os.getpid()}"
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.proof.settings",
            "NOTIFYGUARD_DB": database,
            "PROOF_DATABASE": f"{folder}/{name}" if database == "sqlite" else name,
            "PROOF_PORT": str(sink.port),
            "PROOF_PROTOCOL": protocol,
        }
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["tests.proof.preload"])
        # The first process waits for Django to be loaded; none that is timed shall.
        first = processes.Process(target=gc.collect)
        first.start()
        first.join()
        with _database():
            yield Stage(Path(sink.journal), processes)


@contextmanager
def _database() -> Iterator[None]:
    import django

    django.setup()
    from django.db import connection

    name = os.environ["PROOF_DATABASE"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


class Progress:
    """A bar on standard error, redrawn in place on a terminal and once a tenth elsewhere."""

    WIDTH = 30

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.tenth = total, unit, 0

    def show(self, done: int, note: str = "") -> None:
        filled = self.WIDTH * min(done, self.total) // self.total
        bar = "#" * filled + "." * (self.WIDTH - filled)
        line = f"[{bar}] {done}/{self.total} {self.unit} {note}"
        if sys.stderr.isatty():
            print(f"\r{line}\x1b[K", end="" if done < self.total else "\n", file=sys.stderr)
        elif (tenth := 10 * done // self.total) > self.tenth:
            self.tenth = tenth
            print(line, file=sys.stderr, flush=True)


def verdict(violations: Sequence[str]) -> int:
    """Print the violations, of a flood of them the first, and return the exit status."""
    for sentence in violations[:SHOWN]:
        print(f"VIOLATION  {sentence}")
    if len(violations) > SHOWN:
        print(f"VIOLATION  … and {len(violations) - SHOWN} more")
    laws = Counter(sentence.partition(":")[0] for sentence in violations)
    for law, number in laws.items():
        print(f"BROKEN     {law}: {number}")
    print("BROKEN" if violations else "every promise held")
    return 1 if violations else 0
