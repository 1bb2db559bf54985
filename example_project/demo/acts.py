"""What the demo shows, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from example_project.demo import (
    celery_story,
    incident_a,
    incident_a_celery,
    incident_b,
    incident_c,
    incident_d,
    incident_e,
    runaway_loop,
    story,
)
from example_project.demo.screen import Report, Row
from example_project.demo.sites import Site
from example_project.demo.story import Both


class Act(NamedTuple):
    """One incident: its title, what replays it on a site, the rows of its table, and its words."""

    title: str
    replay: Callable[[Site, Report], Any]
    rows: Callable[[Both[Any]], list[Row]]
    words: Callable[[Both[Any]], str]


@dataclass(frozen=True)
class Amounts:
    """How much of everything; what the incidents had is ``IN_FULL``."""

    tickets: int = 500  # so that the first table is there within 15 seconds
    newsletters: int = 1000
    slips: int = 300
    people: int = 20
    jobs: int = 600


IN_FULL = Amounts(tickets=5000, slips=3000, jobs=6000)


WITH_CELERY = Amounts(tickets=5000)


def acts(amounts: Amounts) -> dict[str, Act]:
    """Return the acts that need nothing but Python, by the names they have for programs."""
    tickets, newsletters, slips = amounts.tickets, amounts.newsletters, amounts.slips
    scale = "" if tickets == IN_FULL.tickets else f" (the incident had {IN_FULL.tickets:,}: --full)"
    return {
        "incident_a": Act(
            f"A. The data migration that mailed everyone: {tickets:,} tickets{scale}",
            lambda site, report: incident_a.replay(site, tickets, report),
            story.rows_of_a,
            story.words_of_a,
        ),
        "incident_c": Act(
            f"C. The cloned server: {newsletters:,} newsletters, two cron jobs, one database",
            lambda site, report: incident_c.replay(site, newsletters, report),
            story.rows_of_c,
            story.words_of_c,
        ),
        "runaway_loop": Act(
            "The runaway loop: a send call indented one step too far",
            runaway_loop.replay,
            story.rows_of_loop,
            story.words_of_loop,
        ),
        "incident_d": Act(
            f"D. Repeats under load, stopped in the middle: {slips:,} slips, published three "
            "times each",
            lambda site, report: incident_d.replay(site, slips, report),
            story.rows_of_d,
            story.words_of_d,
        ),
    }


def acts_with_celery(amounts: Amounts) -> dict[str, Act]:
    """Return the acts that need Celery's workers and a Redis."""
    tickets, people, jobs = amounts.tickets, amounts.people, amounts.jobs
    scale = "" if jobs == IN_FULL.jobs else f" (the incident had {IN_FULL.jobs:,}: --full)"
    return {
        "incident_a": Act(
            f"A. The data migration that mailed everyone: {tickets:,} tickets, workers stopped",
            lambda site, report: incident_a_celery.replay(site, tickets, report),
            celery_story.rows_of_a,
            celery_story.words_of_a,
        ),
        "incident_b": Act(
            f"B. Copies of one follow-up: {people:,} people, an ETA far beyond Redis' timeout",
            lambda site, report: incident_b.replay(site, people, report),
            celery_story.rows_of_b,
            celery_story.words_of_b,
        ),
        "incident_e": Act(
            f"E. Twelve hours of dead workers: {jobs:,} jobs have piled up{scale}",
            lambda site, report: incident_e.replay(site, jobs, report),
            celery_story.rows_of_e,
            celery_story.words_of_e,
        ),
    }
