"""How long the statements of the commands take: ``python -m tests.benchmarks.looks``.

Each is timed, and its plan asked for a scan of a whole table. The ledger is that of
``pages``, which measures the admin.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.stage import stage

AIM = 300
"""Milliseconds that a statement may take."""

TIMES = 3
"""Each look is taken so often; the middle one is shown."""

REASON = ("--reason", "benchmark", "--actor", "benchmark")
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("status", "--since", "1h"),
    ("status", "--since", "1d"),
    ("types",),
    ("held",),
    ("held", "ticket.1", "--list", "--limit", "200"),
    ("scheduled",),
    ("uncertain",),
    ("why", "person77@example.com"),
    ("why", "nobody77@example.com"),
    ("hold", "ticket.2", "--wait", *REASON),
    ("release", "ticket.1", "--yes", "--later", "--limit", "3", *REASON),
    ("discard-held", "ticket.1", "--yes", "--limit", "3", *REASON),
    ("sweep",),
)
ONCE: tuple[tuple[str, ...], ...] = (
    ("resume", "ticket.2", *REASON),
    ("prune", "--dry-run"),
    ("prune",),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look took: seconds as a whole, those of its longest statement, and that."""

    seconds: float
    longest: float
    statement: str
    statements: int
    scans: frozenset[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.looks")
    databases = ["postgresql", "sqlite", "mariadb"]
    parser.add_argument("--db", choices=databases, default="postgresql")
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N")
    parser.add_argument("--held", type=int, default=10_000, metavar="N")
    parser.add_argument("--statements", action="store_true", help="print what took too long")
    options = parser.parse_args()
    with stage(options.db):
        from tests.benchmarks import filling, pages, report

        logging.getLogger("notifyguard").setLevel(logging.CRITICAL)
        filling.fill(options.rows, by_hand=False)
        pages.wait_for_people(options.held)
        about = report.surroundings(options.rows)
        print(", ".join(f"{name} {value}" for name, value in about.items()))
        print(f"{'look':<48}{'statements':>10}{'longest ms':>12}{'whole ms':>10}  scanned")
        late = sum(_shown(name, look, options.statements) for name, look in _looks())
    print(f"{late} over {AIM} ms")
    return 0


def _shown(name: str, look: Look, with_statement: bool) -> bool:
    late = look.longest * 1000 > AIM
    print(
        f"{name:<48}{look.statements:>10}{look.longest * 1000:>12.1f}{look.seconds * 1000:>10.1f}"
        f"  {', '.join(sorted(look.scans))}{'  MISSED' if late else ''}",
        flush=True,
    )
    if with_statement and (late or look.scans):
        print(f"    {look.statement}")
    return late


def _looks() -> Iterator[tuple[str, Look]]:
    from tests.operators import operate

    operate("sweep")  # the first looks at everything, once in the life of a ledger
    for words in COMMANDS:
        yield _shown_as(words), _middle(lambda words=words: operate(*words))  # type: ignore[misc]
    for words in ONCE:
        yield _shown_as(words), _timed(lambda words=words: operate(*words))  # type: ignore[misc]


def _shown_as(words: tuple[str, ...]) -> str:
    return " ".join(word for word in words if word not in REASON)


def _middle(look: Callable[[], Any]) -> Look:
    looks = [_timed(look) for _ in range(TIMES)]
    return sorted(looks, key=lambda each: each.longest)[TIMES // 2]


def _timed(look: Callable[[], Any]) -> Look:
    from django.db import connection

    seen: list[tuple[float, str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            seen.append((time.perf_counter() - begun, sql, params))

    begun = time.perf_counter()
    with connection.execute_wrapper(note):
        look()
    whole = time.perf_counter() - begun
    longest, sql, _ = max(seen, key=lambda each: each[0], default=(0.0, "", None))
    scans = {scan for _, sql, params in seen for scan in _scans(sql, params)}
    return Look(whole, longest, sql, len(seen), frozenset(scans))


def _scans(sql: str, params: Any) -> set[str]:
    """Return the large tables that a statement reads from one end to the other."""
    from django.db import connection

    if not sql.startswith(("SELECT", "UPDATE", "DELETE")):
        return set()
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        plan = [list(row) for row in cursor.fetchall()]
    return {table for table in _LARGE if any(map(_SCANNED[connection.vendor](table), plan))}


_LARGE = ("notifyguard_delivery", "notifyguard_claim")


def _postgresql(table: str) -> Callable[[list[Any]], bool]:
    return lambda row: f"Seq Scan on {table}" in row[0]


def _mysql(table: str) -> Callable[[list[Any]], bool]:
    # id, select_type, table, type, ...
    return lambda row: row[2] == table and row[3] == "ALL"


def _sqlite(table: str) -> Callable[[list[Any]], bool]:
    return lambda row: row[3] == f"SCAN {table}"


_SCANNED = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}


if __name__ == "__main__":
    sys.exit(main())
