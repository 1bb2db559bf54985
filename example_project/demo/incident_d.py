"""Incident D: repeats under extreme load, paused, cleaned and resumed.

Every slip is published three times, and several workers take the copies at the same
moment. Without notifyguard the team stops the workers, removes what was sent from the
queue, and starts them again. With it one command holds the type while the workers go on;
then somebody looks, lets a canary go, and the rest. A worker is killed on the way.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from example_project.demo.crew import Crew
from example_project.demo.data import PUBLISHED
from example_project.demo.deployment import Deployment, ready, tick
from example_project.demo.screen import Report
from example_project.demo.sites import Site

SLIP = "School slip"
TYPE = "slip.published"
CANARY = 10
REASON = ("--reason", "parents report repeats")


@dataclass(frozen=True)
class IncidentD:
    """What the mail server's journal says after one replay, and what the ledger leaves open.

    Attributes:
        slips: how many there are.
        reached: how many of them left.
        repeated: how many of them left more than once.
        while_held: mails that the server accepted between hold and canary.
        canary: mails that it accepted from the canary alone.
        uncertain: slips of which nobody knows, and a person is shown.
    """

    slips: int
    reached: int
    repeated: int
    while_held: int
    canary: int
    uncertain: int

    @property
    def harm(self) -> int:
        """How many slips were repeated, or are missing without a word."""
        missing = self.slips - self.reached
        return self.repeated + self.while_held + max(0, missing - self.uncertain)


def replay(site: Site, slips: int, report: Report, workers: int = 4, kills: int = 1) -> IncidentD:
    """Publish the slips, work them off with a stop in the middle, and count what arrived.

    Args:
        site: where.
        slips: how many; each is published three times.
        report: is told of the progress.
        workers: at work at the same moment.
        kills: how many of them are killed on the way, and started again, with the guard.
    """
    site.deployment.run("demo_slips", "--publish", str(slips))
    with Crew(site.deployment, workers, slips * PUBLISHED, report) as crew:
        if site.deployment.guarded:
            return _held_and_released(site, slips, crew, kills)
        return _paused_and_cleaned(site, slips, crew)


def _paused_and_cleaned(site: Site, slips: int, crew: Crew) -> IncidentD:
    crew.start()
    crew.wait_for(slips * PUBLISHED // 3)
    crew.kill_all()
    site.deployment.run("demo_slips", "--clean")
    crew.start()
    crew.finish()
    return _counted(site, slips)


def _held_and_released(site: Site, slips: int, crew: Crew, kills: int) -> IncidentD:
    operator = site.deployment
    hold = ("notifyguard", "hold", "slip.*", "--wait", *REASON)
    with operator.started("demo_cron", *hold) as command:
        ready(command)  # so that it holds in milliseconds: half the work would be done else
        crew.start()
        third = slips * PUBLISHED // 3
        crew.kill_now_and_then(kills // 2, until=third)
        crew.wait_for(third)
        tick(command)
        operator.finish(command)
    held_at = len(site.server.accepted(SLIP))
    crew.kill_now_and_then(kills - kills // 2, until=slips * PUBLISHED)
    crew.finish()
    looked_at = len(site.server.accepted(SLIP))
    operator.run("notifyguard", "resume", "slip.*", *REASON)
    number = _canary(operator)
    canary = len(site.server.accepted(SLIP)) - looked_at
    operator.run("notifyguard", "release", "--continue", number, "--yes", *REASON)
    return _counted(site, slips, while_held=looked_at - held_at, canary=canary)


def _canary(operator: Deployment) -> str:
    """Let ten go, as somebody does who does not trust it yet; return the release's number."""
    release = ("release", "slip.*", "--canary", str(CANARY), "--yes", "--json", *REASON)
    return str(json.loads(operator.output("notifyguard", *release))["release"])


def _counted(site: Site, slips: int, *, while_held: int = 0, canary: int = 0) -> IncidentD:
    copies = Counter(mail.recipients for mail in site.server.accepted(SLIP))
    return IncidentD(
        slips=slips,
        reached=len(copies),
        repeated=sum(times > 1 for times in copies.values()),
        while_held=while_held,
        canary=canary,
        uncertain=_uncertain(site.deployment) if site.deployment.guarded else 0,
    )


def _uncertain(operator: Deployment) -> int:
    """Ask the ledger: the only figure that no journal of a mail server can hold."""
    listed = json.loads(operator.output("notifyguard", "uncertain", "--json"))
    return sum(each["type"] == TYPE for each in listed)
