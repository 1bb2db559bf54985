"""Sets everything up and runs it, with nothing but Python 3.11 or newer and pip.

    python3 run.py demo     the incidents, without the guard and with it; with --with-celery
                            those of Celery, which need redis-server or a Redis
    python3 run.py tests    all tests this machine can run, in environments of their own

What is installed goes into ``.run`` and ``.tox`` beside this file. With ``CI=true`` nothing may
be missing: a database or a Python that is not there is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests import services

ROOT = Path(__file__).resolve().parent
SUPPORTED = ((3, 13), (3, 12), (3, 11))
DJANGOS = {"dj52": (3, 11), "dj60": (3, 12), "dj61": (3, 12)}  # and the oldest Python of each
CLIENT_LIBRARIES = ("mysqlclient", "mariadb", "libmariadb", "libmysqlclient", "perconaserverclient")


def main(arguments: Sequence[str]) -> int:
    """Run the command named first; return its exit status."""
    commands = {"demo": demo, "tests": tests}
    if not arguments or arguments[0] not in commands:
        print(__doc__)
        return 2
    if sys.version_info[:2] not in SUPPORTED and (python := _supported_python()):
        return subprocess.call([python, __file__, *arguments])
    if sys.version_info[:2] < SUPPORTED[-1]:
        print(f"notifyguard needs Python 3.11 or newer; this is {_version()}")
        return 1
    os.chdir(ROOT)
    return commands[arguments[0]](arguments[1:])


def demo(arguments: Sequence[str]) -> int:
    """Replay the incidents on the example project; arguments go to its ``demo`` command."""
    with_celery = "--with-celery" in arguments
    name, extras = ("demo-celery", "demo,celery") if with_celery else ("demo", "demo")
    python = _environment(name, "--editable", f".[{extras}]")
    return subprocess.call([python, "-m", "example_project", "demo", *arguments])


def tests(arguments: Sequence[str]) -> int:
    """Run checks and tests; arguments go to pytest."""
    environments, missing = _choose()
    for reason in missing:
        print(f"skipped: {reason}", flush=True)
    if missing and services.in_ci():
        print("CI=true: nothing may be skipped")
        return 1
    results = ROOT / ".tox" / "junit"
    shutil.rmtree(results, ignore_errors=True)
    tox = [_environment("tests", "tox>=4.25", "tox-uv>=1.20"), "-m", "tox"]
    # Environments are found a Python by its name: this one's is python3.13, wherever it lies.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    chosen = ["--colored", "no", "-e", ",".join(environments)]
    # Installing two at a time halves the wait; the tests then have the machine for themselves.
    if status := subprocess.call([*tox, "run-parallel", "--notest", "--parallel", "2", *chosen]):
        return status
    # A bare "--" would count as arguments, and each environment has tests of its own to run.
    to_pytest = ["--", *arguments] if arguments else []
    status = subprocess.call([*tox, "run", "--skip-pkg-install", *chosen, *to_pytest])
    print(_closing_line(results, status))
    return status


def _choose() -> tuple[list[str], list[str]]:
    """The tox environments for this machine, and why the others are left out."""
    current = sys.version_info[:2]
    python = f"py{current[0]}{current[1]}"
    djangos = [name for name, oldest in DJANGOS.items() if current >= oldest]
    lacks = {name: reason for name in services.DATABASES if (reason := _lacks(name))}
    missing = list(lacks.values())
    if len(djangos) < len(DJANGOS):
        missing.append(f"Django 6.0 and 6.1 need Python 3.12; this is {_version()}")
    databases = [name for name in services.DATABASES if name not in lacks]
    matrix = [f"{python}-{django}-{database}" for django in djangos for database in databases]
    return ["lint", "types", "layers", f"{python}-noextras", *matrix], missing


def _lacks(database: str) -> str | None:
    if reason := services.missing(database):
        return f"{reason} (docker compose up --detach starts it)"
    if database == "mariadb" and not _can_build_mysqlclient():
        return (
            "needs mariadb: its client library is missing (apt install libmariadb-dev pkg-config)"
        )
    return None


def _can_build_mysqlclient() -> bool:
    if os.name == "nt":
        return True  # comes built
    if not (pkg_config := shutil.which("pkg-config")):
        return False
    found = (subprocess.call([pkg_config, "--exists", name]) for name in CLIENT_LIBRARIES)
    return any(status == 0 for status in found)


def _supported_python() -> str | None:
    """A supported Python that starts: a version manager's shim may exist and not run."""
    for major, minor in SUPPORTED:
        path = shutil.which(f"python{major}.{minor}")
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return path
    return None


def _version() -> str:
    return sys.version.split()[0]


def _environment(name: str, *requirements: str) -> str:
    """The Python of a virtual environment with ``requirements``, made when it is not there."""
    folder = ROOT / ".run" / f"{name}-{_version()}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if not done.exists() or done.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        print(f"setting up {folder.relative_to(ROOT)} ...", flush=True)
        _create(folder)
        # Twice quiet: warnings about a machine's own pip settings are no news here.
        subprocess.check_call([str(python), "-m", "pip", "install", "-qq", *requirements])
        done.touch()
    return str(python)


def _create(folder: Path) -> None:
    """Make a virtual environment, also where the system keeps ``ensurepip`` apart (Debian)."""
    venv = [sys.executable, "-m", "venv", "--clear", str(folder)]
    if subprocess.call(venv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
        return
    # With --target, pip leaves an "externally managed" Python (PEP 668) alone, so it may run.
    target = folder.parent / "virtualenv"
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--upgrade", "--target", str(target)]
    subprocess.check_call([*pip, "virtualenv"])
    virtualenv = [sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(folder)]
    subprocess.check_call(virtualenv, env={**os.environ, "PYTHONPATH": str(target)})


def _closing_line(results: Path, status: int) -> str:
    """The sum of all pytest runs, in the form in which pytest closes one.

    A check that failed outside pytest (lint, types, layers) counts as an error.
    """
    counts: Counter[str] = Counter()
    seconds = 0.0
    for report in sorted(results.glob("*.xml")):
        for suite in ElementTree.parse(report).iter("testsuite"):
            for outcome in ("tests", "failures", "errors", "skipped"):
                counts[outcome] += int(suite.get(outcome, "0"))
            seconds += float(suite.get("time", "0"))
    failed, errors, skipped = (counts[name] for name in ("failures", "errors", "skipped"))
    parts = {
        "failed": failed,
        "passed": counts["tests"] - failed - errors - skipped,
        "skipped": skipped,
        "errors": errors + bool(status and not failed and not errors),
    }
    shown = ", ".join(f"{count} {word}" for word, count in parts.items() if count)
    return f"===== {shown or 'no tests ran'} in {seconds:.2f}s ====="


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
