"""Mail tasks in a second, with the guard and without: ``python -m tests.benchmarks.mail_tasks``.

Two sites of the example project, on the same database server and Redis; their tasks wait
before a worker with two processes is started, and the mail server's journal says from the
first mail to the last how fast they left. The sites take turns, each as often as the other.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from example_project.demo.broker import Broker, forgotten
from example_project.demo.celery_workers import celery_worker, finish, wait_until_worked_off
from example_project.demo.redis import running_redis
from example_project.demo.sites import Site
from tests.acceptance.sites import filled_site
from tests.proof.stage import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

AIM = 0.8
PUBLISH = """
from example_project.tickets.models import Ticket
from example_project.tickets.tasks import ticket_changed
for ticket in Ticket.objects.values_list("pk", flat=True):
    ticket_changed.delay(ticket)
"""


def main() -> int:
    options = _parsed()
    os.environ["NOTIFYGUARD_DB"] = options.db
    rates: dict[bool, list[float]] = {False: [], True: []}
    progress = Progress(2 * options.rounds, "rounds")
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        url = stack.enter_context(running_redis(None))
        sites = {
            guarded: stack.enter_context(_site(Path(scratch), url, options.count, guarded=guarded))
            for guarded in rates
        }
        for number in range(2 * options.rounds):
            # Without, with, with, without: neither is always the second.
            guarded = number % 4 in (1, 2)
            rates[guarded].append(_rate(sites[guarded], options.count))
            progress.show(number + 1)
    print(f"{options.db}, {options.count:,} tasks a round, one worker with two processes")
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    for guarded, found in rates.items():
        shown = ", ".join(f"{rate:.0f}" for rate in found)
        print(
            f"{'with' if guarded else 'without':<8}{median(found):>6.0f} mails a second ({shown})"
        )
    print(f"ratio {median(rates[True]) / median(rates[False]):.2f}, aim {AIM}")
    return 0


@contextmanager
def _site(scratch: Path, url: str, count: int, *, guarded: bool) -> Iterator[Site]:
    with (
        pytest.MonkeyPatch.context() as patch,
        forgotten(Broker(url)) as broker,
        filled_site(scratch, patch, guarded=guarded, broker=broker, tickets=count) as site,
    ):
        yield site


def _rate(site: Site, count: int) -> float:
    """Publish a task for each ticket, work them off, and return mails a second."""
    before = len(site.server.accepted())
    site.deployment.run("shell", "-c", PUBLISH)
    with celery_worker(site.deployment, "worker", concurrency=2) as worker:
        wait_until_worked_off(site.broker, lambda *_: None, 0, count)
        finish(site.deployment, worker)
    mails = site.server.accepted()[before:]
    if len(mails) != count:
        raise RuntimeError(f"{len(mails)} mails of {count} arrived")
    return (count - 1) / (mails[-1].at - mails[0].at)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.mail_tasks")
    parser.add_argument("--db", choices=["postgresql", "mariadb"], default="postgresql")
    parser.add_argument("--count", type=int, default=1_000, help="tasks in a round")
    parser.add_argument("--rounds", type=int, default=4, help="of each site")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
