"""Incident A in full, with Celery: the workers are stopped while the tickets are saved.

Every save queues a task. When the workers come back they work off the backlog, hours after
whatever flag was set for the migration is gone. The inform step queues a task for each owner
in the midst of it, and is run once more by hand in the end.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from example_project.demo import incident_a
from example_project.demo.celery_workers import celery_worker, finish, wait_until_worked_off
from example_project.demo.data import owners_for
from example_project.demo.deployment import ready
from example_project.demo.incident_a import IncidentA
from example_project.demo.screen import Report
from example_project.demo.sites import Site
from example_project.demo.visitor import Visitor


@dataclass(frozen=True)
class IncidentAWithCelery(IncidentA):
    """What the mail server's journal says after one replay.

    Attributes:
        tasks: that waited for the workers when the migration was over.
    """

    tasks: int


def unheard(done: int, total: int) -> None:
    """Say nothing of what is a matter of seconds."""


def replay(site: Site, tickets: int, report: Report) -> IncidentAWithCelery:
    """Run the upgrade with no worker, start one, and count what the mail server accepted."""
    deployment, broker = site.deployment, site.broker
    # Each ticket is saved once and has its task worked off, and so has each owner.
    total = tickets * 2 + owners_for(tickets)
    with deployment.started("demo_web", "--until-eof") as web:
        visitor = Visitor(int(ready(web)))
        with deployment.started("migrate") as migration:
            incident_a.watch(migration, visitor, lambda done, _: report(done, total))
            deployment.finish(migration)
    tasks = broker.waiting()
    with celery_worker(deployment, "started-again") as worker:
        wait_until_worked_off(broker, report, tickets, total)
        finish(deployment, worker)
    again = time.time()
    deployment.run("inform_owners")
    with celery_worker(deployment, "by-hand") as worker:
        wait_until_worked_off(broker, unheard, 0, 1)
        finish(deployment, worker)
    counted = incident_a.counted(site.server, tickets, again)
    return IncidentAWithCelery(**asdict(counted), tasks=tasks)
