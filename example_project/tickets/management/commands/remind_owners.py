from typing import Any

from django.core.management.base import BaseCommand

from example_project.tickets.reminders import remind_owners


class Command(BaseCommand):
    help = "Remind the owners of open tickets. Run by cron, once a week."

    def handle(self, *args: Any, **options: Any) -> None:
        remind_owners()
