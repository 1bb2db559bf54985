"""What is missing is skipped in one line on a laptop, and is a failure in CI."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import services
from tests.settings import BASE_DIR

Run = Callable[..., subprocess.CompletedProcess[str]]

SAMPLE = """
import pytest

@pytest.mark.needs("postgresql")
def test_one(): pass

@pytest.mark.needs("postgresql")
def test_two(): pass

def test_without_needs(): pass
"""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that is taken and never answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        yield taken.getsockname()[1]


@pytest.fixture
def run(tmp_path: Path, silent_port: int) -> Run:
    """Run the sample in a pytest of its own, with no PostgreSQL to be found."""
    sample = tmp_path / "test_sample.py"
    sample.write_text(SAMPLE)
    options = ["-c", "pyproject.toml", "--rootdir", ".", "-p", "tests.conftest", "-q"]
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", str(sample)]

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        chosen = {
            "CI": "",
            "NOTIFYGUARD_DB": "sqlite",
            "NOTIFYGUARD_POSTGRESQL_PORT": str(silent_port),
        }
        return subprocess.run(
            command,
            cwd=BASE_DIR,
            env=os.environ | chosen | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_tests_without_their_service_are_skipped_in_one_line(run: Run, silent_port: int) -> None:
    result = run()
    reasons = [line for line in result.stdout.splitlines() if line.startswith("SKIPPED")]
    assert result.returncode == 0, result.stdout
    assert len(reasons) == 1
    assert reasons[0].startswith("SKIPPED [2]")
    assert f"needs postgresql: nothing answers at 127.0.0.1:{silent_port}" in reasons[0]


def test_in_ci_a_missing_service_is_a_failure(run: Run) -> None:
    result = run(CI="true")
    assert result.returncode == 1, result.stdout
    assert "1 passed, 2 errors" in result.stdout


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_missing_database_ends_the_run_in_one_line(run: Run, ci: str, status: int) -> None:
    result = run(NOTIFYGUARD_DB="postgresql", CI=ci)
    assert result.returncode == status
    assert "all skipped: needs postgresql" in result.stdout + result.stderr


def test_a_test_for_another_database_is_skipped_in_ci_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("NOTIFYGUARD_DB", "postgresql")
    found = services.unmet(("sqlite",))
    assert found == ("needs sqlite: runs with NOTIFYGUARD_DB=sqlite", False)


def test_any_one_of_several_databases_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFYGUARD_DB", "sqlite")
    assert services.unmet(("sqlite", "postgresql")) is None


def test_a_misspelt_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="known are sqlite, postgresql, mariadb"):
        services.unmet(("postgres",))


def test_an_unknown_database_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFYGUARD_DB", "oracle")
    with pytest.raises(ValueError, match="'oracle'; it must be one of"):
        services.chosen_database()
