"""Releases: held messages are let go, and a person begins, continues, pauses and stops that.

    begin      what is meant is fixed; a canary and a rate may be named
    advance    the next few are queued: ``letting_go``, by whoever works on it
    rest       the canary is out, a person or a new switch paused it
    continue_  it goes on where it was
    stop       what it has not let go stays held

A release is a row of the ledger, so it outlives the process that works on it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import IntegrityError
from django.db.models import F

from notifyguard import clock, database, switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.decision import ENDED, ReleaseState
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import deeds, held
from notifyguard.ledger.held.choice import Meant
from notifyguard.ledger.held.progress import (
    Outcome,
    find,
    is_interrupted,
    let_go,
    meant,
    on_their_way,
    outcomes,
    recent,
    standing,
)
from notifyguard.models import Release

__all__ = [
    "MOST_IN_CANARY",
    "Outcome",
    "begin",
    "begun_of",
    "continue_",
    "find",
    "is_interrupted",
    "let_go",
    "meant",
    "on_their_way",
    "outcomes",
    "pause",
    "recent",
    "standing",
    "stop",
]

MOST_IN_CANARY = 1_000
"""Deliveries of a canary: somebody looks at each."""


def begin(
    what: Meant,
    *,
    reason: str,
    actor: Actor,
    rate: int | None = None,
    canary: int = 0,
    by_sweepers: bool = False,
    keeps_repeats: bool = False,
) -> Release:
    """Begin a release; nothing is let go yet.

    Args:
        what: what was meant when the operator was shown it.
        reason: why.
        actor: who.
        rate: deliveries a minute at most, all workers together; ``None`` for no limit.
        canary: after so many deliveries it waits for a person; 0 for no canary.
        by_sweepers: sweepers work it off; else whoever calls ``advance``.
        keeps_repeats: what says the same to the same person leaves all the same.

    Returns:
        The release.

    Raises:
        NotAllowed: reason or permission is missing, a number is out of range, or a release
            was begun of this very thing that was shown: somebody clicked twice.
    """
    reason = deeds.accountable(reason, actor, Permission.RELEASE_HELD)
    _check(rate, canary)
    count, now = what.rows().count(), clock.now(database.connection())
    release = Release(
        choice=what.choice.as_json(),
        types=list(what.types),
        stopped_types=list(held.stopped(what.types)),
        last=what.last,
        begun_at=what.at,
        subject=str(what.choice)[:200],
        reason=reason[:500],
        actor=actor.name,
        by_sweepers=by_sweepers,
        keeps_repeats=keeps_repeats,
        rate=rate,
        canary=canary,
        meant=count,
        next_at=now,
        worked_at=now,
    )

    def write() -> None:
        with database.short_transaction() as connection:
            release.save(using=connection.alias, force_insert=True)
            _record("begin_release", release, "", reason=reason, actor=actor)

    try:
        database.retrying(write)
    except IntegrityError:
        raise NotAllowed(f"It is released already: release {begun_of(what)}.") from None
    return release


def begun_of(what: Meant) -> int | None:
    """Return the number of the release that was begun of what was meant, if there is one."""
    begun = recent().filter(begun_at=what.at, last=what.last)
    return begun.values_list("pk", flat=True).first()


def continue_(
    number: int, *, reason: str, actor: Actor, by_sweepers: bool | None = None
) -> Release:
    """Let a release go on that rests, or take over one whose process has died.

    Types that a switch stops now stay held. Two may work on one release.

    Args:
        number: of the release.
        reason: why.
        actor: who.
        by_sweepers: who works it off from now on; ``None`` for as before.

    Raises:
        NotAllowed: there is no such release or it has ended; reason or permission is missing.
    """

    def go_on(release: Release) -> None:
        release.state, release.note = ReleaseState.RUNNING.value, ""
        release.stopped_types = list(held.stopped(release.types))
        if by_sweepers is not None:
            release.by_sweepers = by_sweepers

    return _change(number, "continue_release", go_on, reason=reason, actor=actor)


def pause(number: int, *, reason: str, actor: Actor) -> Release:
    """Have a release rest until it is continued. What it has queued leaves all the same.

    Arguments, raises: as ``stop``.
    """

    def rest(release: Release) -> None:
        release.state = ReleaseState.PAUSED.value
        release.note = f"By {actor}: {reason}"[:500]

    return _change(number, "pause_release", rest, reason=reason, actor=actor)


def stop(number: int, *, reason: str, actor: Actor) -> Release:
    """End a release: what it has not let go stays held. What it has queued leaves all the same.

    Args:
        number: of the release.
        reason: why.
        actor: who.

    Raises:
        NotAllowed: there is no such release or it has ended; reason or permission is missing.
    """

    def end(release: Release) -> None:
        release.state = ReleaseState.STOPPED.value
        release.note = f"By {actor}: {reason}"[:500]

    return _change(number, "stop_release", end, reason=reason, actor=actor)


def _check(rate: int | None, canary: int) -> None:
    if rate is not None and rate < 1:
        raise NotAllowed("A rate is at least 1 delivery a minute.")
    if not 0 <= canary <= MOST_IN_CANARY:
        raise NotAllowed(f"A canary has at most {MOST_IN_CANARY:,} deliveries.")


def _change(
    number: int, action: str, change: Callable[[Release], None], *, reason: str, actor: Actor
) -> Release:
    reason = deeds.accountable(reason, actor, Permission.RELEASE_HELD)

    def write() -> Release:
        with database.short_transaction() as connection:
            release = _locked(number)
            before = release.state
            change(release)
            release.worked_at = clock.now(connection)
            release.save(using=connection.alias)
            _record(action, release, before, reason=reason, actor=actor)
        return release

    return database.retrying(write)


def _locked(number: int) -> Release:
    # Written first, so that SQLite begins by writing; elsewhere the row is locked by it.
    open_ones = recent().order_by().filter(pk=number).exclude(state__in=ENDED)
    if not open_ones.update(state=F("state")):
        release = find(number)
        raise NotAllowed(f"Release {number} is {release.state}; nothing more is let go by it.")
    return find(number)


def _record(action: str, release: Release, before: str, *, reason: str, actor: Actor) -> None:
    switchboard.record_event(
        action,
        f"{release.pk}: {release.subject}"[:200],
        actor=actor.name,
        reason=reason,
        before=before,
        after=release.state,
        count=release.let_go if before else release.meant,
    )
