"""Incident D at its full size: ``python -m tests.acceptance --slips 100000 --db postgresql``.

Each slip is published three times; workers take the copies at the same moment and are killed
again and again, the type is held in the middle and released behind a canary. It prints what
the mail server's journal and the ledger say, and exits 1 if a slip was repeated or is missing
without a word.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from example_project.demo import incident_d
from example_project.demo.screen import Bar
from tests.acceptance.sites import filled_site
from tests.services import DATABASES


def main() -> int:
    options = _parsed()
    # Whoever ends this process must not leave its workers and its database behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.environ["NOTIFYGUARD_DB"] = options.db
    began = time.monotonic()
    with (
        TemporaryDirectory(prefix="notifyguard-acceptance-") as scratch,
        pytest.MonkeyPatch.context() as patch,
        filled_site(Path(scratch), patch, guarded=True) as site,
    ):
        bar = Bar(sys.stderr, "worked off")
        result = incident_d.replay(site, options.slips, bar, options.workers, options.kills)
    for label, figure in asdict(result).items():
        print(f"{label:<12}{figure:>10,}")
    print(f"{'kills':<12}{options.kills:>10,}")
    print(f"{'seconds':<12}{time.monotonic() - began:>10,.0f}")
    kept = result.harm == 0 and result.uncertain <= options.kills
    print("every promise held" if kept else "BROKEN")
    return 0 if kept else 1


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description=__doc__)
    parser.add_argument("--db", choices=DATABASES, default="postgresql")
    parser.add_argument("--slips", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
