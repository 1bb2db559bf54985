from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from example_project.tickets.models import Ticket


class Command(BaseCommand):
    help = "Have Celery ask the owners of the oldest tickets, in a while, whether all is well."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tickets", type=int, required=True, help="how many")
        parser.add_argument("--seconds", type=int, required=True, help="from now")
        parser.add_argument(
            "--touched", type=int, default=1, help="how often the very oldest was, each time anew"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from example_project.tickets import tasks

        eta = timezone.now() + timedelta(seconds=options["seconds"])
        for place, ticket in enumerate(Ticket.objects.order_by("pk")[: options["tickets"]]):
            for _ in range(1 if place else options["touched"]):
                tasks.follow_up.apply_async((ticket.pk,), eta=eta)
