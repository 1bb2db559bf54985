from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example_project.slips.queue import jobs_for
from example_project.slips.sending import send_slip


class Command(BaseCommand):
    help = "Work off the jobs of the queue until none is left; print a line for each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of this worker; its own jobs come back to it")

    def handle(self, *args: Any, **options: Any) -> None:
        for job in jobs_for(options["name"]):
            send_slip(job)
            print("job", job.pk, flush=True)
