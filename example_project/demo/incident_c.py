"""Incident C: a cloned server's cron job sends the same newsletters from the same database.

The month after, a hurried fix has moved the mark before the text is made: blank mails.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from example_project.demo.data import NEWSLETTER, NEXT_NEWSLETTER, NEXT_READERS
from example_project.demo.deployment import progress_of, ready, tick
from example_project.demo.mailserver import MailServer
from example_project.demo.screen import Report
from example_project.demo.sites import Site


@dataclass(frozen=True)
class IncidentC:
    """What the mail server's journal says after one replay."""

    newsletters: int
    servers: int
    mails: int
    next_readers: int
    blank_mails: int
    reached: int
    mailed_again: int

    @property
    def harm(self) -> int:
        """How many mails left that should not have, or are missing."""
        surplus = self.mails - self.reached
        return surplus + self.blank_mails + abs(self.newsletters - self.reached)


def replay(site: Site, newsletters: int, report: Report, servers: int = 2) -> IncidentC:
    """Start the cron jobs of all servers together and count what the mail server accepted."""
    with ExitStack() as stack:
        jobs = [
            stack.enter_context(site.deployment.started("demo_cron", "send_newsletter"))
            for _ in range(servers)
        ]
        for job in jobs:
            ready(job)
        for job in jobs:
            tick(job)
        for done, total in progress_of(jobs[0]):
            report(done, total)
        for job in jobs:
            site.deployment.finish(job)
    site.deployment.run("demo_next_issue")
    site.deployment.run("send_newsletter", "--hurried-fix")
    return counted(site.server, newsletters, servers)


def counted(server: MailServer, newsletters: int, servers: int) -> IncidentC:
    """Read the journal."""
    mails = server.accepted(NEWSLETTER)
    copies = Counter(address for mail in mails for address in mail.recipients)
    return IncidentC(
        newsletters=newsletters,
        servers=servers,
        mails=len(mails),
        next_readers=min(newsletters, NEXT_READERS),
        blank_mails=sum(mail.blank for mail in server.accepted(NEXT_NEWSLETTER)),
        reached=len(copies),
        mailed_again=sum(times > 1 for times in copies.values()),
    )
