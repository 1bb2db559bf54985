from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example_project.newsletter.sending import send_waiting, send_waiting_with_hurried_fix


class Command(BaseCommand):
    help = "Send the newsletter to every subscriber who has not been sent it yet. Run by cron."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hurried-fix", action="store_true", help="as on the day after the incident"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        send = send_waiting_with_hurried_fix if options["hurried_fix"] else send_waiting
        send()
