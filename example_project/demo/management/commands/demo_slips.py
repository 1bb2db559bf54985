from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example_project.demo.data import add_slips, remove_repeats


class Command(BaseCommand):
    help = "Publish slips, each several times; or remove from the queue what was sent."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--publish", type=int, metavar="SLIPS")
        what.add_argument("--clean", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["clean"]:
            remove_repeats()
        else:
            add_slips(options["publish"])
