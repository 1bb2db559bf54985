from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from example_project.demo.broker import Broker
from example_project.demo.incident_e import age


class Command(BaseCommand):
    help = "Publish jobs, and have them look as if that had been hours ago. No worker may run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--jobs", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        from example_project.exports import tasks

        jobs: int = options["jobs"]
        for number in range(jobs):
            (tasks.call_begins if number % 2 else tasks.export_ready).delay(number)
        if "notifyguard.contrib.celery" in settings.INSTALLED_APPS:
            self.backdate(jobs)

    def backdate(self, jobs: int) -> None:
        """Write into the messages what a publisher of that hour has written, and nothing else."""
        broker = Broker(os.environ["EXAMPLE_BROKER"], os.environ["EXAMPLE_BROKER_PREFIX"])
        with broker.connected() as redis:
            # The newest is the first: a worker takes the last.
            for place, raw in enumerate(redis.lrange(broker.queue, 0, -1)):
                number = jobs - 1 - place
                redis.lset(broker.queue, place, earlier(raw, age(number, jobs)))


def earlier(raw: bytes, hours: float) -> str:
    """Return a message as it would be if it had been published so many hours earlier."""
    from notifyguard.context import travelling
    from notifyguard.contrib.celery.header import HEADER

    message = json.loads(raw)
    said = travelling.read(message["headers"][HEADER])
    assert said.due_at is not None
    said = replace(said, due_at=said.due_at - timedelta(hours=hours))
    message["headers"][HEADER] = travelling.written(said)
    return json.dumps(message)
