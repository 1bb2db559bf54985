"""The runaway loop: a send call indented one step too far mails the same people again and again.

The tracker names no type and no key. What stops it is a limit in the settings, on the
type that notifyguard found by itself: the function that sends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from example_project.demo.deployment import progress_of
from example_project.demo.mailserver import MailServer
from example_project.demo.screen import Report
from example_project.demo.sites import Site

REMINDER = "Your open tickets"
LIMIT = 2
"""Mails to one person in a day, as the settings of the example project say."""

ALERT = "[Django] notifyguard holds mail"


@dataclass(frozen=True)
class RunawayLoop:
    """What the mail server's journal says after one replay."""

    people: int
    mails: int
    most_to_one: int
    alerts: int

    @property
    def harm(self) -> int:
        """How many mails left that should not have, or are missing."""
        return max(0, self.mails - LIMIT * self.people) + max(0, self.most_to_one - LIMIT)


def replay(site: Site, report: Report) -> RunawayLoop:
    """Run the weekly reminder once and count what its mail server has accepted."""
    with site.deployment.started("remind_owners") as reminder:
        for done, total in progress_of(reminder):
            report(done, total)
        site.deployment.finish(reminder)
    return counted(site.server)


def counted(server: MailServer) -> RunawayLoop:
    """Read the journal."""
    mails = server.accepted(REMINDER)
    copies = Counter(address for mail in mails for address in mail.recipients)
    return RunawayLoop(
        people=len(copies),
        mails=len(mails),
        most_to_one=max(copies.values(), default=0),
        alerts=len(server.accepted(ALERT)),
    )
