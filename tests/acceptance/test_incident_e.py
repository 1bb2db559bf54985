"""Incident E's backlog: jobs of twelve hours, worked off by a worker that came back."""

from __future__ import annotations

import pytest

from example_project.demo import incident_e
from example_project.demo.broker import Broker
from tests.acceptance.conftest import OpenSite
from tests.acceptance.test_incident_a import unheard

JOBS = 240
STALE = JOBS * 10 // 12

pytestmark = [
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
    pytest.mark.needs("postgresql"),  # as most of Celery's tests; the demo's run on SQLite
]


def test_without_the_guard_all_of_it_is_sent_however_old(
    open_site: OpenSite, broker: Broker
) -> None:
    result = incident_e.replay(open_site(False, broker), JOBS, unheard)
    assert (result.mails, result.stale_mails) == (JOBS, STALE)


def test_with_the_guard_what_is_stale_is_held_or_expires_and_the_rest_goes_once(
    open_site: OpenSite, broker: Broker
) -> None:
    result = incident_e.replay(open_site(True, broker), JOBS, unheard)
    assert (result.stale_mails, result.repeated) == (0, 0)
    assert result.mails == result.fresh_mails == result.fresh == JOBS - STALE
    assert result.held == result.expired == STALE // 2
    assert result.harm == 0
