"""Incident E: the workers were dead for twelve hours, and jobs piled up.

Half of the jobs tell of something that is true tomorrow too, half remind of something that is
over. When the workers come back, nothing tells them how old a job is.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from example_project.demo.celery_workers import celery_worker, finish, wait_until_worked_off
from example_project.demo.screen import Report
from example_project.demo.sites import Site

HOURS = 12
MAX_AGE = 2
"""Hours after which the settings of the example project call a job's mail stale."""

SUBJECTS = ("Export ", "Call ")


@dataclass(frozen=True)
class IncidentE:
    """What the mail server's journal says after one replay, and what the ledger kept back.

    Attributes:
        jobs: that piled up.
        mails: of them.
        stale_mails: of jobs that were older than their mail may be.
        fresh: jobs that were not.
        fresh_mails: of those.
        repeated: jobs that mailed more than once.
        held: mails that wait for a person, as the ledger counts them.
        expired: mails that are of no use any more, as the ledger counts them.
    """

    jobs: int
    mails: int
    stale_mails: int
    fresh: int
    fresh_mails: int
    repeated: int
    held: int
    expired: int

    @property
    def harm(self) -> int:
        """How many mails left that should not have, or are missing."""
        return self.stale_mails + self.repeated + (self.fresh - self.fresh_mails)


def replay(site: Site, jobs: int, report: Report) -> IncidentE:
    """Pile jobs up, start a worker, and count what the mail server accepted."""
    deployment, broker = site.deployment, site.broker
    deployment.run("demo_backlog", "--jobs", str(jobs))
    with celery_worker(deployment, "came-back") as worker:
        wait_until_worked_off(broker, report, 0, jobs)
        finish(deployment, worker)
    return counted(site, jobs)


def is_stale(number: int, jobs: int) -> bool:
    """Tell whether a job is older than ``MAX_AGE``; they are numbered from the oldest on."""
    return age(number, jobs) > MAX_AGE


def age(number: int, jobs: int) -> float:
    """Return how old a job is, in hours: half past each hour of twelve, one batch after the other.

    So none is so near to ``MAX_AGE`` that it would grow stale while they are worked off.
    """
    return HOURS - 0.5 - number * HOURS // jobs


def counted(site: Site, jobs: int) -> IncidentE:
    """Read the journal, and what the ledger did not let go."""
    mails = [mail for subject in SUBJECTS for mail in site.server.accepted(subject)]
    sent = Counter(int(mail.subject.split()[1]) for mail in mails)
    stale = {number for number in range(jobs) if is_stale(number, jobs)}
    kept = _kept_back(site) if site.deployment.guarded else Counter()
    return IncidentE(
        jobs=jobs,
        mails=len(mails),
        stale_mails=sum(times for number, times in sent.items() if number in stale),
        fresh=jobs - len(stale),
        fresh_mails=len(sent.keys() - stale),
        repeated=sum(times > 1 for times in sent.values()),
        held=kept["held"],
        expired=kept["expired"],
    )


def _kept_back(site: Site) -> Counter[str]:
    told = json.loads(site.deployment.output("notifyguard", "status", "--since", "1d", "--json"))
    return Counter(
        {
            state: sum(each["deliveries"] for each in told["counts"] if _is_kept(each, state))
            for state in ("held", "expired")
        }
    )


def _is_kept(counted: dict[str, str], state: str) -> bool:
    return (counted["state"], counted["rule"]) == (state, "stale")
