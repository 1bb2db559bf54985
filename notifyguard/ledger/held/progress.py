"""How far a release is, and what became of what it let go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q, QuerySet

from notifyguard import clock, database
from notifyguard.decision import ENDED, ReleaseState, State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import rows
from notifyguard.ledger.held.choice import Choice, Meant
from notifyguard.models import Delivery, Release, Released

SILENT_AFTER = timedelta(seconds=30)
"""A running release on which nobody has worked for so long was interrupted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some of the deliveries that a release let go.

    Attributes:
        state: where they stand.
        rule: by which rule.
        deliveries: how many.
    """

    state: State
    rule: str
    deliveries: int


def find(number: int) -> Release:
    """Return a release.

    Raises:
        NotAllowed: there is none with this number.
    """
    release = recent().filter(pk=number).first()
    if release is None:
        raise NotAllowed(f"There is no release {number}.")
    return release


def recent() -> QuerySet[Release, Release]:
    """Return the releases, the newest first."""
    return Release.objects.using(database.alias()).order_by("-id")


def unfinished() -> QuerySet[Release, Release]:
    """Return the releases that still have something to let go, the newest first."""
    return recent().exclude(state__in=ENDED)


def is_interrupted(release: Release) -> bool:
    """Tell whether a release is running and nobody works on it."""
    if release.state != ReleaseState.RUNNING or release.by_sweepers:
        return False  # whether sweepers run is told by themselves
    return release.worked_at < clock.now(database.connection()) - SILENT_AFTER


def standing(release: Release) -> str:
    """Return the state of a release in a word; ``interrupted`` if nobody works on it."""
    return "interrupted" if is_interrupted(release) else str(release.state)


def meant(release: Release) -> Meant:
    """Return what a release was begun for; its ``rows`` are those that still wait."""
    choice = Choice.from_json(release.choice)
    return Meant(choice, tuple(release.types), release.last, release.begun_at)


def let_go(release: Release) -> QuerySet[Delivery, Delivery]:
    """Return the deliveries that a release has let go, in the order of their messages."""
    ours = Released.objects.using(database.alias()).filter(release=release)
    found = rows.deliveries(database.connection()).filter(id__in=ours.values("delivery"))
    return found.order_by("id")


def outcomes(release: Release) -> list[Outcome]:
    """Count what became of the deliveries that a release has let go, the most first."""
    counted = let_go(release).order_by().values_list("state", "rule").annotate(Count("id"))
    found = [Outcome(State(state), rule, count) for state, rule, count in counted]
    return sorted(found, key=lambda outcome: -outcome.deliveries)


def on_their_way(number: int) -> bool:
    """Tell whether something that a release let go is about to leave."""
    now = clock.now(database.connection())
    found = let_go(find(number))
    due = Q(state=State.QUEUED, wake_at__lte=now) | Q(state__in=[State.CLAIMED, State.IN_FLIGHT])
    return found.filter(due).exists()
