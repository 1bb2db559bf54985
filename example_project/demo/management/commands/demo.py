from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from example_project.demo import incident_a, incident_c, story
from example_project.demo.data import DEMO_PASSWORD, DEMO_USER
from example_project.demo.deployment import ROOT, DemoError
from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_c import IncidentC
from example_project.demo.management.commands.demo_admin import PORT, admin_url
from example_project.demo.screen import Bar
from example_project.demo.sites import Site, fill, running_site
from example_project.demo.story import Both

TICKETS = 5000  # as in the incident
TICKETS_AT_FIRST = 500  # so that the first table is there within 15 seconds
NEWSLETTERS = 1000


class Command(BaseCommand):
    help = "Replay two real incidents without notifyguard and with it. Needs no server."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--full", action="store_true", help=f"migrate {TICKETS} tickets")
        parser.add_argument("--tickets", type=amount, help=f"default {TICKETS_AT_FIRST}")
        parser.add_argument("--newsletters", type=amount, default=NEWSLETTERS)
        parser.add_argument("--scratch", type=Path, help="an empty folder for the data to be kept")
        parser.add_argument("--json", action="store_true", help="print the results as JSON")
        parser.add_argument("--serve", action="store_true", help="show the admin at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        self.began = time.monotonic()
        tickets = options["tickets"] or (TICKETS if options["full"] else TICKETS_AT_FIRST)
        scratch = empty_folder(options["scratch"])
        try:
            a, c = self.replay(scratch, tickets, options["newsletters"])
        except DemoError as failure:
            raise CommandError(str(failure)) from failure
        self.report(a, c, scratch)
        if not proven(a) or not proven(c):
            raise CommandError("The replays do not show what they should; see the figures above.")
        if options["serve"]:
            call_command("demo_admin", str(scratch))

    def replay(
        self, scratch: Path, tickets: int, newsletters: int
    ) -> tuple[Both[IncidentA], Both[IncidentC]]:
        """Replay both incidents both ways and print their tables."""
        self.say(f"notifyguard demo, in {scratch}. Preparing two copies of the example project …")
        with ExitStack() as stack:
            sites = [
                stack.enter_context(running_site(scratch, guarded=guarded))
                for guarded in (False, True)
            ]
            fill(sites, tickets=tickets, newsletters=newsletters)
            return self.incident_a(sites, tickets), self.incident_c(sites, newsletters)

    def incident_a(self, sites: Sequence[Site], tickets: int) -> Both[IncidentA]:
        scale = "" if tickets == TICKETS else f" (the incident had {TICKETS:,}: --full)"
        self.say(f"\nA. The data migration that mailed everyone: {tickets:,} tickets{scale}")
        both = Both(*[incident_a.replay(site, tickets, self.bar(site)) for site in sites])
        self.first_table_after = time.monotonic() - self.began
        self.say(story.table_of_a(both, self.encoding))
        return both

    def incident_c(self, sites: Sequence[Site], newsletters: int) -> Both[IncidentC]:
        self.say(
            f"\nC. The cloned server: {newsletters:,} newsletters, two cron jobs, one database"
        )
        both = Both(*[incident_c.replay(site, newsletters, self.bar(site)) for site in sites])
        self.say(story.table_of_c(both, self.encoding))
        return both

    def report(self, a: Both[IncidentA], c: Both[IncidentC], scratch: Path) -> None:
        """Print what was shown: as JSON for a program, in words for a person."""
        if self.json:
            self.stdout.write(json.dumps(self.as_json(a, c, scratch), indent=2))
        manage = f"{sys.executable} {ROOT / 'example_project' / 'manage.py'}"
        self.say(f"\n{story.what_you_saw(a, c)}")
        self.say("\nLook at the guarded project yourself; this command serves its admin at")
        self.say(f"{admin_url(PORT)} (log in as {DEMO_USER} with {DEMO_PASSWORD}):")
        self.say(f"\n  {manage} demo_admin {scratch}\n")

    def as_json(self, a: Both[IncidentA], c: Both[IncidentC], scratch: Path) -> dict[str, Any]:
        return {
            "incident_a": {"without": asdict(a.without), "with": asdict(a.guarded)},
            "incident_c": {"without": asdict(c.without), "with": asdict(c.guarded)},
            "seconds_to_first_table": round(self.first_table_after, 1),
            "scratch": str(scratch),
        }

    @property
    def encoding(self) -> str | None:
        return getattr(self.stdout, "encoding", None)

    def bar(self, site: Site) -> Bar:
        name = "with notifyguard" if site.deployment.guarded else "without"
        return Bar(sys.stderr, name)

    def say(self, text: str) -> None:
        """Print for a person; where a program reads the output, on standard error."""
        stream = self.stderr if self.json else self.stdout
        stream.write(text)
        stream.flush()  # in step with the bars, through a pipe too


def amount(text: str) -> int:
    """Return a number of tickets or newsletters from the command line."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{number} is too few to replay an incident")
    return number


def empty_folder(asked: Path | None) -> Path:
    """Return a folder for one demo: an older one's journals would be counted too."""
    if asked is None:
        return Path(tempfile.mkdtemp(prefix="notifyguard-demo-"))
    asked.mkdir(parents=True, exist_ok=True)
    if any(asked.iterdir()):
        raise CommandError(f"{asked} is not empty; name a new folder with --scratch.")
    return asked


def proven(both: Both[IncidentA] | Both[IncidentC]) -> bool:
    """Tell whether the harm happened without the guard, and none with it."""
    return both.without.harm > 0 and both.guarded.harm == 0
