from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from example_project.demo import story
from example_project.demo.acts import (
    IN_FULL,
    WITH_CELERY,
    Act,
    Amounts,
    acts,
    acts_with_celery,
)
from example_project.demo.broker import Broker, forgotten
from example_project.demo.data import DEMO_PASSWORD, DEMO_USER
from example_project.demo.deployment import ROOT, DemoError
from example_project.demo.management.commands.demo_admin import PORT, admin_url
from example_project.demo.redis import running_redis
from example_project.demo.screen import Bar
from example_project.demo.sites import Site, fill, running_site
from example_project.demo.story import Both

AMOUNTS = ("tickets", "newsletters", "slips")
AMOUNTS_WITH_CELERY = ("tickets", "people", "jobs")


class Command(BaseCommand):
    help = "Replay real incidents without notifyguard and with it. Needs no server."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--full", action="store_true", help="as many as the incidents had")
        parser.add_argument("--with-celery", action="store_true", help="what needs it, and a Redis")
        parser.add_argument("--broker", metavar="URL", help="a Redis that runs, for --with-celery")
        parser.add_argument("--only", metavar="INCIDENT", help="one of them, such as incident_a")
        for name in dict.fromkeys((*AMOUNTS, *AMOUNTS_WITH_CELERY)):
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
        try:
            shown = self.replay(scratch, options)
        except DemoError as failure:
            raise CommandError(str(failure)) from failure
        if not all(both.proven for both in shown.values()):
            raise CommandError("The replays do not show what they should; see the figures above.")
        if options["serve"]:
            call_command("demo_admin", str(scratch))

    def replay(self, scratch: Path, options: Mapping[str, Any]) -> dict[str, Both[Any]]:
        """Replay everything both ways; print the tables, and what they show."""
        amounts = amounts_of(options)
        shows = acts_of(options, amounts)
        with ExitStack() as stack:
            redis = options["with_celery"] and stack.enter_context(running_redis(options["broker"]))
            self.say(f"notifyguard demo, in {scratch}. Preparing two copies of the project …")
            sites = [opened_site(stack, scratch, guarded, redis) for guarded in (False, True)]
            fill(sites, tickets=amounts.tickets, newsletters=amounts.newsletters)
            shown = {name: self.both_ways(act, sites) for name, act in shows.items()}
        self.report(shown, [shows[name].words(both) for name, both in shown.items()], scratch)
        return shown

    def both_ways(self, act: Act, sites: Sequence[Site]) -> Both[Any]:
        """Replay one incident on both sites and print its table."""
        self.say(f"\n{act.title}")
        both: Both[Any] = Both(*[act.replay(site, self.bar(site)) for site in sites])
        self.first_table_after = self.first_table_after or time.monotonic() - self.began
        self.say(story.drawn(act.rows(both), self.encoding))
        return both

    def report(self, shown: dict[str, Both[Any]], words: Sequence[str], scratch: Path) -> None:
        """Print what was shown: as JSON for a program, in words for a person."""
        if self.json:
            self.stdout.write(json.dumps(self.as_json(shown, scratch), indent=2))
        manage = f"{sys.executable} {ROOT / 'example_project' / 'manage.py'}"
        self.say(f"\n{story.what_you_saw(*words)}")
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


def amounts_of(options: Mapping[str, Any]) -> Amounts:
    """Return how much of everything was asked for.

    Raises:
        CommandError: of something that is not shown.
    """
    names = AMOUNTS_WITH_CELERY if options["with_celery"] else AMOUNTS
    asked = {name: options[name] for name in (*AMOUNTS, *AMOUNTS_WITH_CELERY) if options[name]}
    if stray := [f"--{name}" for name in asked if name not in names]:
        needs = "leave --with-celery out" if options["with_celery"] else "add --with-celery"
        raise CommandError(f"{stray[0]} means nothing here; {needs}, or take it out.")
    if options["broker"] and not options["with_celery"]:
        raise CommandError("--broker is where --with-celery finds its Redis; add that.")
    default = WITH_CELERY if options["with_celery"] else Amounts()
    return replace(IN_FULL if options["full"] else default, **asked)


def acts_of(options: Mapping[str, Any], amounts: Amounts) -> dict[str, Act]:
    """Return what is to be shown, by the names that they have for programs.

    Raises:
        CommandError: it was asked for something that there is not.
    """
    shows = (acts_with_celery if options["with_celery"] else acts)(amounts)
    only = options["only"]
    if only and only not in shows:
        raise CommandError(f"There is no {only!r} here; there are {', '.join(shows)}.")
    return {only: shows[only]} if only else shows


def opened_site(stack: ExitStack, scratch: Path, guarded: bool, redis: str | None) -> Site:
    """Open a site for as long as the stack is; its tasks wait in that Redis, if there is one."""
    broker = stack.enter_context(forgotten(Broker(redis))) if redis else None
    return stack.enter_context(running_site(scratch, guarded=guarded, broker=broker))


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
