# ruff: noqa: N802  # unittest names its methods its own way
"""Django's test runner, writing down every outcome and count."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from typing import Any

from django.apps import apps
from django.test import SimpleTestCase
from django.test.runner import DiscoverRunner

from tests.django_suites.counting import count_asked, count_unready, report

MODE = os.environ["NOTIFYGUARD_SUITES_MODE"]


class RecordingResult(unittest.TextTestResult):
    """Outcomes by test id; of subtests the worst counts."""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        report.outcomes[test.id()] = "ok"
        self._counts = report.counts()

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        # Judged, and then stopped by Django's ban on the database before the hand-over.
        if MODE == "full" and _forbids_database(test):
            report.take_back(self._counts)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        _record_broken(test, "failed")

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        _record_broken(test, "error")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            _record_broken(test, "failed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        # A skipped subtest shows its parameters, memory addresses among them.
        whole = getattr(test, "test_case", test)
        report.outcomes[whole.id()] = "skipped"

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        report.outcomes[test.id()] = "expected failure"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        _record_broken(test, "unexpected success")


class RecordingRunner(DiscoverRunner):
    """Runs in one process and writes the report where the environment says."""

    def setup_test_environment(self, **kwargs: Any) -> None:
        super().setup_test_environment(**kwargs)
        if MODE == "allowed":
            SimpleTestCase.databases = {"default"}
        if apps.is_installed("notifyguard"):
            count_asked()
            count_unready()

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        return RecordingResult

    def run_suite(self, suite: unittest.TestSuite, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        report.write(Path(os.environ["NOTIFYGUARD_SUITES_REPORT"]))
        return result


def _record_broken(test: unittest.TestCase, outcome: str) -> None:
    report.outcomes[test.id()] = outcome
    if _forbids_database(test):
        report.databaseless.append(test.id())


def _forbids_database(test: unittest.TestCase) -> bool:
    # A SimpleTestCase may allow databases, too; then it has no excuse.
    return isinstance(test, SimpleTestCase) and not test.databases
