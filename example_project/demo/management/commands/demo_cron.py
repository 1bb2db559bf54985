import sys
from argparse import REMAINDER
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "One server's cron: waits for the tick, a line on standard input, then runs a command."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", help="the management command to run")
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        print("ready", flush=True)
        if sys.stdin.readline():  # and not the end of the input: then the demo has gone away
            call_command(options["job"], *options["arguments"])
