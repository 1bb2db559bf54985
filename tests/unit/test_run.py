"""The command of the README: what it chooses, what it says, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import run
from tests.settings import BASE_DIR

REPORT = """<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}" time="{}"/>
</testsuites>"""


def test_the_closing_line_sums_all_runs_up(tmp_path: Path) -> None:
    (tmp_path / "sqlite.xml").write_text(REPORT.format(10, 1, 0, 2, "1.5"))
    (tmp_path / "mariadb.xml").write_text(REPORT.format(5, 0, 1, 0, "2.25"))
    line = run._closing_line(tmp_path, status=1)
    assert line == "===== 1 failed, 11 passed, 2 skipped, 1 errors in 3.75s ====="


def test_a_check_that_failed_outside_pytest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sqlite.xml").write_text(REPORT.format(10, 0, 0, 0, "1.5"))
    assert run._closing_line(tmp_path, status=0) == "===== 10 passed in 1.50s ====="
    assert run._closing_line(tmp_path, status=1) == "===== 10 passed, 1 errors in 1.50s ====="


def test_no_reports_are_no_success(tmp_path: Path) -> None:
    assert run._closing_line(tmp_path, status=0) == "===== no tests ran in 0.00s ====="


def test_every_chosen_environment_is_one_that_tox_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_lacks", lambda database: None)
    monkeypatch.setenv("CI", "")
    environments, missing = run._choose()
    factors = {factor for name in environments for factor in name.split("-")}
    known = (BASE_DIR / "tox.ini").read_text()
    assert all(factor in known for factor in factors if not factor.startswith(("py", "dj")))
    assert len(environments) == 4 + 3 * (3 - 2 * len(missing))


def test_a_missing_database_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_lacks", lambda database: "no" if database == "mariadb" else None)
    environments, missing = run._choose()
    assert missing[0] == "no"
    assert not any("mariadb" in name for name in environments)
    assert any("postgresql" in name for name in environments)


def test_without_a_command_it_says_which_there_are() -> None:
    command = [sys.executable, "run.py"]
    shown = subprocess.run(
        command, cwd=BASE_DIR, env=os.environ, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 2
    assert "run.py demo" in shown.stdout
    assert "run.py tests" in shown.stdout
