from typing import Any

from django.core.management.base import BaseCommand

from example_project.demo.data import add_next_issue


class Command(BaseCommand):
    help = "Add the issue that follows on the one of the incident, to some of its subscribers."

    def handle(self, *args: Any, **options: Any) -> None:
        add_next_issue()
