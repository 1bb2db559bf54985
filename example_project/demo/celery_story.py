"""The results of the replays with Celery in words and tables."""

from __future__ import annotations

from example_project.demo import story
from example_project.demo.incident_a_celery import IncidentAWithCelery
from example_project.demo.incident_b import LIMIT, TOUCHED, IncidentB
from example_project.demo.incident_e import MAX_AGE, IncidentE
from example_project.demo.screen import Row
from example_project.demo.story import Both, times


def rows_of_a(both: Both[IncidentAWithCelery]) -> list[Row]:
    """Return the figures of incident A, with the workers stopped while it migrates."""
    return [both.row("tasks that waited for the workers", "tasks"), *story.rows_of_a(both)]


def rows_of_b(both: Both[IncidentB]) -> list[Row]:
    """Return the figures of incident B; what no journal can hold is the ledger's."""
    return [
        both.row(f"people who got their follow-up (of {both.without.people:,})", "reached"),
        both.row("people who got it more than once", "repeated"),
        both.row("most copies of one follow-up", "most_copies"),
        both.row("warnings when they were planned, in the log", "told_ahead"),
        both.row("copies that were refused, as the ledger counts", "refused"),
        both.row(f"to one with {TOUCHED} follow-ups (limit: {LIMIT} a day)", "to_busy"),
        both.row("mails that tell the administrators of the limit", "alerts"),
    ]


def rows_of_e(both: Both[IncidentE]) -> list[Row]:
    """Return the figures of incident E; what no journal can hold is the ledger's."""
    return [
        both.row(f"mails of {both.without.jobs:,} jobs", "mails"),
        both.row(f"mails of jobs older than {MAX_AGE} hours", "stale_mails"),
        both.row(f"mails of younger jobs (of {both.without.fresh:,})", "fresh_mails"),
        both.row("held for a person to look at", "held"),
        both.row("expired: of no use any more", "expired"),
    ]


def words_of_a(a: Both[IncidentAWithCelery]) -> str:
    """Tell what incident A, with the workers stopped, has shown."""
    return (
        "the same tasks, twice; none of them names notifyguard. The runs differ in "
        f"two lines of INSTALLED_APPS. {a.without.tickets:,} tickets were migrated while no worker "
        f"ran. When one was started, {a.without.changed_mails:,} mails left that nobody wanted; "
        f"with notifyguard {a.guarded.changed_mails:,}, though all {a.guarded.tasks:,} tasks ran: "
        "what was suppressed where they were enqueued has travelled with them. So has what was "
        f"meant to be told: {a.guarded.told_by_upgrade:,} of {a.guarded.owners:,} owners were, and "
        f"{a.guarded.told_again:,} a second time."
    )


def words_of_b(b: Both[IncidentB]) -> str:
    """Tell what incident B has shown."""
    return (
        "Follow-ups with a far ETA were given from worker to worker by Redis. Without notifyguard "
        f"{b.without.repeated:,} of {b.without.people:,} people got theirs up to "
        f"{b.without.most_copies:,} times; with it once, and {b.guarded.refused:,} copies found it "
        f"sent. Somebody with {TOUCHED} follow-ups coming got {b.without.to_busy:,} mails; with a "
        f"limit in the settings {b.guarded.to_busy:,}, and the administrators were told "
        f"{times(b.guarded.alerts)}."
    )


def words_of_e(e: Both[IncidentE]) -> str:
    """Tell what incident E has shown."""
    return (
        f"{e.without.jobs:,} jobs had piled up for twelve hours. Without notifyguard all were "
        f"mailed, {e.without.stale_mails:,} of them too late. With it "
        f"{e.guarded.fresh_mails:,} that were still in time left once; {e.guarded.held:,} are held "
        f"for a person, and {e.guarded.expired:,} of no use any more have expired."
    )
