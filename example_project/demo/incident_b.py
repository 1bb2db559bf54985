"""Incident B: a follow-up with a far ETA, handed to one worker after the other.

With Redis a task that waits for its ETA is unacknowledged. Past the visibility timeout it is
given to somebody else, while the first still keeps it: when the ETA comes, all of them send.
Days and an hour are seconds here. A worker is killed meanwhile, and another one is started.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace

from example_project.demo.celery_workers import celery_worker, finish
from example_project.demo.deployment import Deployment
from example_project.demo.screen import Report
from example_project.demo.sites import Site

FOLLOW_UP = "Did that solve it?"

LIMIT = 2
"""Follow-ups to one person in a day, as the settings of the example project say."""

TOUCHED = 10
"""How often one ticket was touched, and a follow-up of it planned each time."""

VISIBILITY_TIMEOUT = 2
ALERT = "[Django] notifyguard holds mail"
FAR = "further ahead than redis can hold it"
BUSY = "person0@example.test"
SETTLED = 3.0  # seconds without another mail: that was all
PATIENCE = 60  # seconds; where workers are slower than the timeout, copies go on for ever


@dataclass(frozen=True)
class IncidentB:
    """What the mail server's journal says after one replay, and what the ledger refused.

    Attributes:
        people: who have one follow-up coming.
        reached: of them.
        repeated: of them, who got more than one.
        most_copies: of one follow-up.
        told_ahead: lines of the log that name the far ETA when it is planned.
        refused: copies that found theirs sent or about to be, as the ledger counts them.
        to_busy: mails to somebody who had ten follow-ups coming.
        alerts: mails that tell the administrators of a limit.
    """

    people: int
    reached: int
    repeated: int
    most_copies: int
    told_ahead: int
    refused: int
    to_busy: int
    alerts: int

    @property
    def harm(self) -> int:
        """How many people got too much, or nothing."""
        return self.repeated + (self.people - self.reached) + max(0, self.to_busy - LIMIT)


def replay(site: Site, people: int, report: Report, eta: int = 15) -> IncidentB:
    """Plan follow-ups, keep workers running, and count what the mail server accepted.

    Args:
        site: filled, with more tickets than ``people``.
        people: who get one follow-up each.
        report: is told how far it is.
        eta: seconds until the follow-ups are due.
    """
    broker = replace(site.broker, visibility_timeout=VISIBILITY_TIMEOUT)
    deployment = replace(site.deployment, broker=broker)
    asked = ("--tickets", str(people + 1), "--touched", str(TOUCHED))
    with (
        celery_worker(deployment, "worker1", 1) as first,
        celery_worker(deployment, "worker2", 1) as second,
    ):
        deployment.run("plan_follow_ups", "--seconds", str(eta), *asked)
        due = time.monotonic() + eta
        _pass_time(due - eta / 2, due, eta, report)
        second.kill()
        with celery_worker(deployment, "worker3", 1) as third:
            _pass_time(due, due, eta, report)
            _wait_until_settled(site, people)
            finish(deployment, first, third)
    report(eta, eta)
    return _counted(site, people)


def _pass_time(until: float, due: float, eta: int, report: Report) -> None:
    """Wait as the people wait, and show it."""
    while (now := time.monotonic()) < until:
        report(int(eta - (due - now)), eta)
        time.sleep(0.2)


def _wait_until_settled(site: Site, people: int) -> None:
    """Wait until everybody has something, and then until nothing more comes."""
    before, until = -1, time.monotonic() + PATIENCE
    quiet_since = time.monotonic()
    while time.monotonic() < min(until, quiet_since + SETTLED):
        now = len(site.server.accepted(FOLLOW_UP))
        if now != before or now < people:
            before, quiet_since = now, time.monotonic()
        time.sleep(0.1)


def _counted(site: Site, people: int) -> IncidentB:
    copies = Counter(mail.recipients[0] for mail in site.server.accepted(FOLLOW_UP))
    to_busy = copies.pop(BUSY, 0)
    return IncidentB(
        people=people,
        reached=len(copies),
        repeated=sum(times > 1 for times in copies.values()),
        most_copies=max(copies.values(), default=0),
        told_ahead=site.deployment.log.read_text().count(FAR),
        refused=_refused(site.deployment) if site.deployment.guarded else 0,
        to_busy=to_busy,
        alerts=len(site.server.accepted(ALERT)),
    )


def _refused(operator: Deployment) -> int:
    """Ask the ledger: what was not sent is in no journal of a mail server."""
    printed = operator.output("shell", "--command", COUNT_REFUSED)
    return int(printed.split()[-1])


COUNT_REFUSED = """
from django.db.models import Sum
from notifyguard.models import Claim
print(Claim.objects.aggregate(n=Sum("duplicates"))["n"] or 0)
"""
