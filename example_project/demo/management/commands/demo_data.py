from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from example_project.demo.data import add_login, add_newsletter, add_tickets

BEFORE_THE_UPGRADE = "0002_ticket_complexity"


class Command(BaseCommand):
    help = "Fill an empty database with what the demo replays, as it was before the upgrade."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tickets", type=int, required=True)
        parser.add_argument("--newsletters", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        # Taken back while there are no tickets, the upgrade's data migrations are due again.
        call_command("migrate", "tickets", BEFORE_THE_UPGRADE, verbosity=0)
        add_login()
        add_tickets(options["tickets"])
        add_newsletter(options["newsletters"])
