from typing import Any

from django.core.management.base import BaseCommand

from example_project.tickets.announcements import inform_owners


class Command(BaseCommand):
    help = "Tell the owners of tickets about the new field, by hand. The upgrade does it too."

    def handle(self, *args: Any, **options: Any) -> None:
        inform_owners()
