"""Incident A on the chosen database: a real migration, a real web site, a real mail server."""

from __future__ import annotations

from example_project.demo import incident_a
from tests.acceptance.conftest import OpenSite

TICKETS = 200


def unheard(done: int, total: int) -> None:
    """Nobody watches the progress of a test."""


def test_without_the_guard_the_migration_mails_everyone(open_site: OpenSite) -> None:
    result = incident_a.replay(open_site(False, tickets=TICKETS), TICKETS, unheard)
    assert result.changed_mails == TICKETS
    assert result.resets == result.resets_meanwhile == 1
    assert result.told_by_upgrade == result.told_again == result.owners


def test_with_the_guard_it_mails_nobody_and_no_other_mail_is_harmed(open_site: OpenSite) -> None:
    result = incident_a.replay(open_site(True, tickets=TICKETS), TICKETS, unheard)
    assert result.changed_mails == 0
    assert result.resets == result.resets_meanwhile == 1
    assert (result.told_by_upgrade, result.told_again) == (result.owners, 0)
    assert result.harm == 0


def test_the_guard_lets_a_ticket_saved_after_the_migration_mail_as_ever(
    open_site: OpenSite,
) -> None:
    site = open_site(True, tickets=10)
    incident_a.replay(site, 10, unheard)
    site.deployment.run("shell", "--command", SAVE_ONE_TICKET)
    assert len(site.server.accepted(incident_a.CHANGED)) == 1


SAVE_ONE_TICKET = "from example_project.tickets.models import Ticket; Ticket.objects.first().save()"
