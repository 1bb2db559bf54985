"""Incident C on the chosen database: servers as processes, counted by the mail server."""

from __future__ import annotations

import pytest

from example_project.demo import incident_c
from tests.acceptance.conftest import OpenSite

NEWSLETTERS = 200


def unheard(done: int, total: int) -> None:
    """Nobody watches the progress of a test."""


def test_without_the_guard_two_servers_send_doubles(open_site: OpenSite) -> None:
    site = open_site(False, newsletters=NEWSLETTERS)
    result = incident_c.replay(site, NEWSLETTERS, unheard)
    assert result.reached == NEWSLETTERS
    assert result.mailed_again > 0
    assert result.blank_mails == result.next_readers > 0


@pytest.mark.parametrize("servers", [2, 4])
def test_with_the_guard_each_subscriber_gets_one_mail(open_site: OpenSite, servers: int) -> None:
    site = open_site(True, newsletters=NEWSLETTERS)
    result = incident_c.replay(site, NEWSLETTERS, unheard, servers=servers)
    assert result.mails == result.reached == NEWSLETTERS
    assert result.blank_mails == 0
    assert result.harm == 0


def test_with_the_guard_a_second_run_after_the_marks_were_lost_sends_nothing(
    open_site: OpenSite,
) -> None:
    site = open_site(True, newsletters=20)
    incident_c.replay(site, 20, unheard, servers=1)
    site.deployment.run("shell", "--command", FORGET_WHAT_WAS_SENT)
    assert incident_c.replay(site, 20, unheard, servers=1).mails == 20


FORGET_WHAT_WAS_SENT = """
from example_project.newsletter.models import Mailing
Mailing.objects.update(status="waiting")
"""
