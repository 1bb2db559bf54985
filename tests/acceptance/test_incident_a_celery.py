"""Incident A in full: the tasks of a migration wait for workers that are started after it."""

from __future__ import annotations

import pytest

from example_project.demo import incident_a_celery
from example_project.demo.broker import Broker
from tests.acceptance.conftest import OpenSite
from tests.acceptance.test_incident_a import unheard

TICKETS = 100

pytestmark = [
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
    pytest.mark.needs("postgresql"),  # as most of Celery's tests; the demo's run on SQLite
]


def test_without_the_guard_the_workers_mail_everyone_when_they_are_back(
    open_site: OpenSite, broker: Broker
) -> None:
    site = open_site(False, broker, tickets=TICKETS)
    result = incident_a_celery.replay(site, TICKETS, unheard)
    assert result.changed_mails == TICKETS
    assert result.told_by_upgrade == result.told_again == result.owners


def test_with_the_guard_they_mail_nobody_but_those_who_are_informed(
    open_site: OpenSite, broker: Broker
) -> None:
    site = open_site(True, broker, tickets=TICKETS)
    result = incident_a_celery.replay(site, TICKETS, unheard)
    assert result.tasks == TICKETS + result.owners  # nothing was suppressed by not being queued
    assert result.changed_mails == 0
    assert result.resets == result.resets_meanwhile == 1
    assert (result.told_by_upgrade, result.told_again) == (result.owners, 0)
    assert result.harm == 0
