"""The comparison of two runs of Django's suites finds what it should, and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.django_suites.report import Report, full_differences, light_differences

GOOD = Report({"a": "ok", "b": "skipped", "c": "failed"}, reached=7, asked=7, judged=7)


def test_equal_runs_differ_in_nothing() -> None:
    assert list(light_differences(GOOD, GOOD)) == []
    assert list(full_differences(GOOD, GOOD)) == []


@pytest.mark.parametrize(
    "worse",
    [
        replace(GOOD, outcomes=GOOD.outcomes | {"a": "error"}),
        replace(GOOD, outcomes=GOOD.outcomes | {"c": "ok"}),
        replace(GOOD, outcomes={"a": "ok"}),
        replace(GOOD, reached=6, asked=6),
        replace(GOOD, asked=6),
        replace(GOOD, reached=0, asked=0),
    ],
)
def test_in_light_mode_every_change_counts(worse) -> None:
    assert list(light_differences(GOOD, worse))


@pytest.mark.parametrize(
    "worse",
    [
        replace(GOOD, outcomes=GOOD.outcomes | {"a": "error"}),
        replace(GOOD, judged=6),
        replace(GOOD, reached=0, asked=0, judged=0),
    ],
)
def test_in_full_mode_a_broken_test_or_an_unjudged_message_counts(worse) -> None:
    assert list(full_differences(GOOD, worse))


def test_in_full_mode_a_class_that_forbids_the_database_is_excused() -> None:
    broken = replace(GOOD, outcomes=GOOD.outcomes | {"a": "error"}, databaseless=["a"])
    assert list(full_differences(GOOD, broken)) == []


def test_a_report_survives_being_written(tmp_path) -> None:
    GOOD.write(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == GOOD
