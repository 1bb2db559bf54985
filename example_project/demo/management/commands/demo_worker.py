import os
import signal
import sys
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "A Celery worker, until input closes. Prints ``ready`` when it takes tasks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of this worker")
        parser.add_argument("--concurrency", type=int, default=2)

    def handle(self, *args: Any, **options: Any) -> None:
        from celery import signals

        from example_project.celery import app

        signals.worker_ready.connect(say_ready)
        quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        who = ["--hostname", f"{options['name']}@%h", "--concurrency", str(options["concurrency"])]
        app.worker_main(["--quiet", "worker", *who, *quiet])


def say_ready(sender: Any, **_: Any) -> None:
    # By Celery's own loop: a thread beside it would be there when it forks.
    sender.hub.add_reader(sys.__stdin__, partial(end_at_eof, sender.hub))
    assert sys.__stdout__  # Celery has taken the other for its log
    print("ready", file=sys.__stdout__, flush=True)


def end_at_eof(hub: Any) -> None:
    """End the worker when whoever started it closes our input, or dies."""
    if not os.read(0, 1024):
        hub.remove_reader(sys.__stdin__)
        os.kill(os.getpid(), signal.SIGTERM)
