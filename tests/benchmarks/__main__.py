"""The command line of the benchmarks: prints a table, and JSON to a file on request."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from tests.benchmarks.stage import stage


def main() -> int:
    options = parsed()
    with stage(options.db, prepared=options.prepared):
        # Only now are Django's settings there for the models to be imported.
        from tests.benchmarks import filling, measures, report, timing
        from tests.benchmarks.by_hand import ByHand

        with closing(ByHand()) as by_hand:
            filling.fill(options.rows)
            about = report.surroundings(options.rows)
            print(", ".join(f"{name} {value}" for name, value in about.items()))
            print(report.heading())
            results = []
            bulk = 200 if options.quick else measures.BULK
            with measures.connected() as connected:
                for measure in measures.measures(by_hand, connected, bulk):
                    if options.only in measure.name:
                        results.append(timing.compared(measure, quick=options.quick))
                        print(report.line(results[-1]), flush=True)
            measures.check_all_left()
            switch, commit = measures.switch_check(), measures.commit(by_hand)
            print(report.switch_line(switch))
            print(f"one insert by hand with its commit: {commit * 1e3:.3f} ms")
            if options.json:
                about["commit"] = commit
                report.write(options.json, about, results, switch)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    databases = ["postgresql", "sqlite", "mariadb"]
    parser.add_argument("--db", choices=databases, default="postgresql")
    parser.add_argument(
        "--rows", type=int, default=0, metavar="N", help="deliveries in the ledger at the start"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="measures with this in the name")
    parser.add_argument("--quick", action="store_true", help="few passes: rough figures in seconds")
    parser.add_argument(
        "--prepared",
        action="store_true",
        help="PostgreSQL prepares statements (see performance.md)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
