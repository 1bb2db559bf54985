"""The figures as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import django
from django.db import connection

from tests.benchmarks.timing import Result

SWITCH_AIM = 1.0
"""Microseconds."""

_DURABLE = {
    "postgresql": ("SHOW synchronous_commit", "on"),
    "mysql": ("SELECT @@innodb_flush_log_at_trx_commit", 1),
    "sqlite": ("PRAGMA synchronous", 2),
}


def surroundings(rows: int) -> dict[str, Any]:
    """Say on what the figures were taken.

    Raises:
        RuntimeError: a commit does not wait for the disk, so that they would say nothing.
    """
    question, durable = _DURABLE[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(question)
        if (answer := cursor.fetchone()[0]) != durable:
            raise RuntimeError(f"{question}: {answer}; to measure, it must be {durable}")
    return {
        "database": f"{connection.display_name} {_version()}",
        "driver": _driver(),
        "rows": rows,
        "django": django.get_version(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def line(result: Result) -> str:
    """Return a row of the table: what, aim, measured and its spread, the two times."""
    spread = f"{result.ratios[0]:.2f} to {result.ratios[-1]:.2f}"
    times = f"{_milliseconds(result.ours)} : {_milliseconds(result.base)}"
    return (
        f"{result.name:<24}{result.against:<26}{result.aim:>6.2f}{result.ratio:>10.2f}"
        f"  {spread:<15}{times:>22}  {_verdict(result.ratio, result.aim)}"
    )


def heading() -> str:
    """Return the row above the others."""
    return (
        f"{'what':<24}{'against':<26}{'aim':>6}{'measured':>10}  {'blocks':<15}{'milliseconds':>22}"
    )


def switch_line(seconds: float) -> str:
    """Return the row of the switch check, which is a time and not a ratio."""
    microseconds = seconds * 1e6
    verdict = _verdict(microseconds, SWITCH_AIM)
    measured = f"{SWITCH_AIM:>6.2f}{microseconds:>10.2f}{verdict:>43}"
    return f"{'switch check':<24}{'microseconds':<26}{measured}"


def write(path: Path, about: dict[str, Any], results: list[Result], switch: float) -> None:
    """Write everything as JSON; times in seconds."""
    measured = [
        {
            "name": result.name,
            "against": result.against,
            "aim": result.aim,
            "ratio": result.ratio,
            "ratios": result.ratios,
            "ours": result.ours,
            "base": result.base,
        }
        for result in results
    ]
    path.write_text(json.dumps({**about, "measures": measured, "switch_check": switch}, indent=2))


def _version() -> str:
    return ".".join(map(str, connection.get_database_version()))


def _driver() -> str:
    if connection.vendor != "postgresql":
        return str(connection.Database.__name__)
    from psycopg import __version__, pq

    prepared = "prepared" if connection.settings_dict["OPTIONS"] else "not prepared"
    return f"psycopg {__version__} ({pq.__impl__}), statements {prepared}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"


def _verdict(measured: float, aim: float) -> str:
    return "reached" if measured <= aim else "MISSED"
