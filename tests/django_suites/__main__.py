"""``python -m tests.django_suites``: run the suites in four ways and compare."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

from tests.django_suites import DATABASELESS, SUITES
from tests.django_suites.report import Report, full_differences, light_differences
from tests.django_suites.source import tests_of_django

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ("--parallel=1", "--verbosity=0", "--settings=tests.django_suites.settings")
MODES = ("without", "light", "full", "allowed")


def main() -> int:
    """Return the exit status: 0 when notifyguard kept its word in both modes."""
    options = _options()
    if options.django and not django.get_version().startswith(options.django):
        print(f"This environment has Django {django.get_version()}, not {options.django}.")
        return 2
    tests = tests_of_django(options.cache)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ran = pool.map(lambda mode: _run(mode, tests, options.suites), MODES)
    reports = dict(zip(MODES, ran, strict=True))
    differences = list(_differences(reports))
    _print(reports, differences)
    return 1 if differences else 0


def _differences(reports: dict[str, Report]) -> Iterator[str]:
    without = reports["without"]
    for mode, differences in (
        ("light", light_differences),
        ("full", full_differences),
        ("allowed", full_differences),
    ):
        yield from (f"{mode}: {line}" for line in differences(without, reports[mode]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.django_suites", description=__doc__)
    parser.add_argument("--django", help="insist on this version or series, e.g. 6.1")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir(), "notifyguard-django-sources"),
        help="where Django's source distributions are kept",
    )
    parser.add_argument("suites", nargs="*", default=SUITES, help="default: %(default)s")
    return parser.parse_args()


def _run(mode: str, tests: Path, suites: Sequence[str]) -> Report:
    """Run the suites in a process of their own, as Django's contributors do."""
    if mode == "allowed":
        suites = [suite for suite in suites if suite.split(".")[0] in DATABASELESS]
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory, "report.json")
        print(f"{mode}: running {', '.join(suites)}", flush=True)
        ran = subprocess.run(
            [sys.executable, "-W", "error", "runtests.py", *ARGUMENTS, *suites],
            cwd=tests,
            env=os.environ | _environment(mode, written),
            capture_output=True,
            text=True,
        )
        if not written.exists():
            sys.exit(f"{mode}: the suites did not run.\n{ran.stdout}\n{ran.stderr}")
        return Report.read(written)


def _environment(mode: str, report: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "NOTIFYGUARD_SUITES_MODE": mode,
        "NOTIFYGUARD_SUITES_REPORT": str(report),
    }


def _print(reports: dict[str, Report], differences: list[str]) -> None:
    print(f"\nDjango {django.get_version()}: tests, not passed, reached, asked, judged, unready")
    for mode, report in reports.items():
        counts = (len(report.outcomes), len(report.broken))
        print(
            f"{mode:>8}",
            *counts,
            report.reached,
            report.asked,
            report.judged,
            report.unready,
            sep="\t",
        )
    print(*differences, sep="\n")
    print(f"{len(differences)} differences" if differences else "no differences")


if __name__ == "__main__":
    sys.exit(main())
