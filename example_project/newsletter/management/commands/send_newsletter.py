from typing import Any

from django.core.management.base import BaseCommand

from example_project.newsletter.sending import send_waiting


class Command(BaseCommand):
    help = "Send the newsletter to every subscriber who has not been sent it yet. Run by cron."

    def handle(self, *args: Any, **options: Any) -> None:
        send_waiting()
