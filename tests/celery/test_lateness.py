"""When a task was meant to be run: a backlog makes what it leads to late, a long run does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from notifyguard.context import Task
from notifyguard.contrib.celery.lateness import Due, due, eta_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOURS, SECONDS = timedelta(hours=1), timedelta(seconds=1)


def task(late_by=timedelta(0), name="import", behind=()):
    """A task that has been running for five hours."""
    started = NOW - 5 * HOURS
    return Task(name, "1", started - late_by, started, behind)


def test_it_is_due_when_it_is_published_or_at_its_eta():
    for by in (None, task(), task(30 * SECONDS)):
        assert due("mail", "2", None, by, NOW) == Due(NOW)
        assert due("mail", "2", NOW + HOURS, by, NOW) == Due(NOW + HOURS)


def test_what_a_late_task_enqueues_is_as_late_as_it_began():
    assert due("mail", "2", None, task(12 * HOURS), NOW) == Due(NOW - 12 * HOURS, ("import",))


def test_and_what_that_enqueues_too():
    second = task(12 * HOURS, "owner", behind=("import",))
    assert due("mail", "3", None, second, NOW) == Due(NOW - 12 * HOURS, ("import", "owner"))


def test_with_an_eta_of_its_own_it_is_due_then():
    assert due("remind", "2", NOW + 24 * HOURS, task(12 * HOURS), NOW) == Due(NOW + 24 * HOURS)


def test_a_retry_is_as_late_as_what_it_retries():
    late = task(12 * HOURS, behind=("first",))
    eta = NOW + 180 * SECONDS
    assert due("import", "1", eta, late, NOW) == Due(eta - 12 * HOURS, ("first",))
    assert due("import", "1", None, late, NOW) == Due(NOW - 12 * HOURS, ("first",))


@pytest.mark.parametrize(("name", "behind"), [("poll", ()), ("poll", ("import", "poll"))])
def test_a_task_that_comes_again_in_the_line_starts_anew(name, behind):
    """Once late, a task that enqueues itself, or two that enqueue each other, would stay so."""
    late = task(12 * HOURS, "poll" if not behind else "other", behind)
    assert due(name, "2", None, late, NOW) == Due(NOW)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, None),
        ("2026-11-30T13:00:00+01:00", NOW),
        ("2026-11-30T12:00:00", NOW),
        ("tomorrow", None),
        (17, None),
    ],
)
def test_the_eta_is_read_as_the_worker_reads_it(written, read):
    new, old = (
        SimpleNamespace(headers={"eta": written}, body=((), {}, {})),
        SimpleNamespace(headers={}, body={"eta": written}),
    )
    for message in (new, old):
        assert eta_of(message, UTC) == read


def test_an_eta_without_a_zone_is_in_utc_as_celery_has_it():
    message = SimpleNamespace(headers={"eta": "2026-11-30T12:00:00"}, body=((), {}, {}))
    assert eta_of(message, timezone(5 * HOURS)) == NOW
