"""Incident B: real workers come, go and are killed while follow-ups wait for a far ETA."""

from __future__ import annotations

import pytest

from example_project.demo import incident_b
from example_project.demo.broker import Broker
from tests.acceptance.conftest import OpenSite
from tests.acceptance.test_incident_a import unheard

PEOPLE = 8
ETA = 10  # seconds; the visibility timeout is two

pytestmark = [
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
    pytest.mark.needs("postgresql"),  # as most of Celery's tests; the demo's run on SQLite
]


def test_without_the_guard_each_worker_sends_its_copy(open_site: OpenSite, broker: Broker) -> None:
    site = open_site(False, broker, tickets=200)
    result = incident_b.replay(site, PEOPLE, unheard, ETA)
    assert result.reached == result.repeated == PEOPLE
    assert result.to_busy > incident_b.TOUCHED
    assert result.alerts == 0


def test_with_the_guard_each_arrives_once_and_a_limit_tells_the_administrators_once(
    open_site: OpenSite, broker: Broker
) -> None:
    site = open_site(True, broker, tickets=200)
    result = incident_b.replay(site, PEOPLE, unheard, ETA)
    assert (result.reached, result.repeated, result.most_copies) == (PEOPLE, 0, 1)
    assert result.refused >= PEOPLE  # the copies came, and found theirs taken
    assert result.told_ahead == 1  # before anything happened
    assert (result.to_busy, result.alerts) == (incident_b.LIMIT, 1)
    assert result.harm == 0
