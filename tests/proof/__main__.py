"""The command line of the proof: a run prints its figures and exits 1 on a broken promise."""

from __future__ import annotations

import argparse
import random
import sys
from contextlib import AbstractContextManager, nullcontext

from tests.proof.stage import stage


def main() -> int:
    options = parsed()
    print(f"{options.run} on {options.db}, {options.protocol} protocol, seed {options.seed}")
    with broker(options), stage(options.db, options.protocol) as ready:
        # Only now are Django's settings there for the models to be imported.
        if options.run == "release":
            from tests.proof import releases

            numbers = (options.count, options.operators, options.kills, options.seed)
            return releases.run(ready, *numbers)
        if options.run == "celery":
            from tests.proof.celery import run

            return run.run(ready, options.count, options.seed)
        from tests.proof import flips, kills

        if options.run == "kills":
            return kills.run(ready, options.count, options.seed)
        return flips.run(ready, options.processes, options.flips, options.seed)


def broker(options: argparse.Namespace) -> AbstractContextManager[None]:
    """The broker of a run over Celery; it must be known before anything of it is imported."""
    if options.run != "celery":
        return nullcontext()
    from tests.proof.celery.brokers import broker

    return broker(options.broker)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    runs = parser.add_subparsers(dest="run", required=True)
    kills = runs.add_parser("kills", help="kill -9 at every step and at random moments")
    kills.add_argument("--count", type=int, default=200, metavar="N", help="how many kills")
    flips = runs.add_parser("flips", help="hold and resume everything at full speed")
    flips.add_argument("--processes", type=int, default=8, metavar="N")
    flips.add_argument("--flips", type=int, default=50, metavar="N")
    celery = runs.add_parser("celery", help="kill Celery's workers and their children")
    celery.add_argument("--count", type=int, default=75, metavar="N", help="how many kills")
    celery.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis")
    release = runs.add_parser("release", help="operators work off a release and are killed")
    release.add_argument("--count", type=int, default=1_000, metavar="N", help="messages held")
    release.add_argument("--operators", type=int, default=2, metavar="N")
    release.add_argument("--kills", type=int, default=20, metavar="N")
    release.set_defaults(protocol="guarded")
    for run in (kills, flips, release, celery):
        run.add_argument("--db", choices=["sqlite", "postgresql", "mariadb"], default="sqlite")
        run.add_argument("--seed", type=int, default=random.randrange(10**6))
    for run in (kills, flips, celery):
        run.add_argument(
            "--protocol",
            choices=["guarded", "naive"],
            default="guarded",
            help="naive: send, then mark, as most queues do; shows that the harm is possible",
        )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
