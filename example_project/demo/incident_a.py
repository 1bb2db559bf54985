"""Incident A: a data migration saves every ticket, and every save sends mail.

While the upgrade runs, a person asks the web site for a password reset. At the end
the upgrade tells the owners on purpose, and somebody who is not sure that it did
runs that step once more by hand.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from example_project.demo.data import DEMO_EMAIL, owners_for
from example_project.demo.deployment import Process, progress_of, ready
from example_project.demo.mailserver import MailServer
from example_project.demo.screen import Report
from example_project.demo.sites import Site
from example_project.demo.visitor import Visitor

CHANGED = "Ticket "
RESET = "Password reset"
ANNOUNCED = "Your tickets now have a complexity"


@dataclass(frozen=True)
class IncidentA:
    """What the mail server's journal says after one replay."""

    tickets: int
    changed_mails: int
    resets: int
    resets_meanwhile: int
    owners: int
    told_by_upgrade: int
    told_again: int

    @property
    def harm(self) -> int:
        """How many mails left that should not have, or are missing."""
        untold = abs(self.owners - self.told_by_upgrade)
        return self.changed_mails + untold + self.told_again + abs(1 - self.resets)


def replay(site: Site, tickets: int, report: Report) -> IncidentA:
    """Run the upgrade on a filled site and count what its mail server has accepted."""
    with site.deployment.started("demo_web", "--until-eof") as web:
        visitor = Visitor(int(ready(web)))
        with site.deployment.started("migrate") as migration:
            watch(migration, visitor, report)
            site.deployment.finish(migration)
            ended = time.time()
    site.deployment.run("inform_owners")
    return counted(site.server, tickets, ended)


def watch(migration: Process, visitor: Visitor, report: Report) -> None:
    """Follow the migration; a fifth of the way, ask for a password reset."""
    asked = False
    for done, total in progress_of(migration):
        report(done, total)
        if not asked and done * 5 >= total:
            visitor.ask_for_password_reset(DEMO_EMAIL)
            asked = True


def counted(server: MailServer, tickets: int, ended: float) -> IncidentA:
    """Read the journal. ``ended`` is when the migration was over, in epoch seconds."""
    resets = server.accepted(RESET)
    told = [(mail.recipients, mail.at < ended) for mail in server.accepted(ANNOUNCED)]
    return IncidentA(
        tickets=tickets,
        changed_mails=len(server.accepted(CHANGED)),
        resets=len(resets),
        resets_meanwhile=sum(mail.at < ended for mail in resets),
        owners=owners_for(tickets),
        told_by_upgrade=len({owner for owner, by_upgrade in told if by_upgrade}),
        told_again=sum(times > 1 for times in Counter(owner for owner, _ in told).values()),
    )
