from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from example_project.demo import story
from example_project.demo.acts import IN_FULL, Act, Amounts, acts
from example_project.demo.data import DEMO_PASSWORD, DEMO_USER
from example_project.demo.deployment import ROOT, DemoError
from example_project.demo.management.commands.demo_admin import PORT, admin_url
from example_project.demo.screen import Bar
from example_project.demo.sites import Site, fill, running_site
from example_project.demo.story import Both

AMOUNTS = ("tickets", "newsletters", "slips")


class Command(BaseCommand):
    help = "Replay real incidents without notifyguard and with it. Needs no server."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--full", action="store_true", help="as many as the incidents had")
        for name in AMOUNTS:
            default = getattr(Amounts(), name)
            parser.add_argument(f"--{name}", type=amount, help=f"default {default}")
        parser.add_argument("--scratch", type=Path, help="an empty folder for the data to be kept")
        parser.add_argument("--json", action="store_true", help="print the results as JSON")
        parser.add_argument("--serve", action="store_true", help="show the admin at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        self.began = time.monotonic()
        self.first_table_after = 0.0
        scratch = empty_folder(options["scratch"])
        asked = {name: options[name] for name in AMOUNTS if options[name]}
        try:
            shown = self.replay(
                scratch, replace(IN_FULL if options["full"] else Amounts(), **asked)
            )
        except DemoError as failure:
            raise CommandError(str(failure)) from failure
        self.report(shown, scratch)
        if not all(both.proven for both in shown.values()):
            raise CommandError("The replays do not show what they should; see the figures above.")
        if options["serve"]:
            call_command("demo_admin", str(scratch))

    def replay(self, scratch: Path, amounts: Amounts) -> dict[str, Both[Any]]:
        """Replay everything both ways and print the tables."""
        self.say(f"notifyguard demo, in {scratch}. Preparing two copies of the example project …")
        with ExitStack() as stack:
            sites = [
                stack.enter_context(running_site(scratch, guarded=guarded))
                for guarded in (False, True)
            ]
            fill(sites, tickets=amounts.tickets, newsletters=amounts.newsletters)
            return {name: self.both_ways(act, sites) for name, act in acts(amounts).items()}

    def both_ways(self, act: Act, sites: Sequence[Site]) -> Both[Any]:
        """Replay one incident on both sites and print its table."""
        self.say(f"\n{act.title}")
        both: Both[Any] = Both(*[act.replay(site, self.bar(site)) for site in sites])
        self.first_table_after = self.first_table_after or time.monotonic() - self.began
        self.say(story.drawn(act.rows(both), self.encoding))
        return both

    def report(self, shown: dict[str, Both[Any]], scratch: Path) -> None:
        """Print what was shown: as JSON for a program, in words for a person."""
        if self.json:
            self.stdout.write(json.dumps(self.as_json(shown, scratch), indent=2))
        manage = f"{sys.executable} {ROOT / 'example_project' / 'manage.py'}"
        self.say(f"\n{story.what_you_saw(*shown.values())}")
        self.say("\nLook at the guarded project yourself; this command serves its admin at")
        self.say(f"{admin_url(PORT)} (log in as {DEMO_USER} with {DEMO_PASSWORD}):")
        self.say(f"\n  {manage} demo_admin {scratch}\n")

    def as_json(self, shown: dict[str, Both[Any]], scratch: Path) -> dict[str, Any]:
        figures = {
            name: {"without": asdict(both.without), "with": asdict(both.guarded)}
            for name, both in shown.items()
        }
        return figures | {
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
    """Return a number of tickets, newsletters or slips from the command line."""
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
