"""Working off a release: one step queues the next few of its deliveries.

Each step is one short transaction that begins by locking the release's row, so
that any number may work on it: no delivery is let go twice, and the rate is kept by
all of them together, by the database's clock. Killed in the middle, nothing of the
step has happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, F, QuerySet, Value, When

from notifyguard import clock, conf, database, switchboard
from notifyguard.decision import ReleaseState, State
from notifyguard.ledger import rows, statements
from notifyguard.ledger.held import digests, folding, pace, releases
from notifyguard.ledger.held.ahead import Ahead
from notifyguard.ledger.held.choice import LATE, Held
from notifyguard.ledger.held.digests import Plan
from notifyguard.ledger.held.folding import Leaving
from notifyguard.ledger.takeover import StaleBoard
from notifyguard.models import Release, Released
from notifyguard.switchboard import Board

AT_ONCE = 4
"""Releases of which a process remembers what it has read."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did.

    Attributes:
        let_go: how many deliveries it queued.
        wait: for how long nothing more may be let go.
        goes_on: there may be more to let go, without a person's word.
    """

    let_go: int = 0
    wait: timedelta = timedelta(0)
    goes_on: bool = True


def advance(number: int, plan: Plan | None = None) -> Step:
    """Let the next deliveries of a release go, if it runs and its rate allows it.

    Args:
        number: of the release.
        plan: what is told in digests, for the step from where the release stands.

    Raises:
        StalePlan: the plan is for another step; nothing was done.
    """
    board = switchboard.board()
    while True:
        try:
            step = database.retrying(partial(_advance, number, board, plan))
        except StaleBoard:
            board = switchboard.board(fresh=True)  # a switch was set: it is asked
            continue
        if step.let_go or step.wait or not step.goes_on or plan:
            return step
        # All that was looked at stays or has ended: what comes next may leave at once.


def still_at_work(number: int) -> None:
    """Say that somebody works on a release, while what it let go is delivered."""
    now = clock.now(database.connection())
    releases.recent().order_by().filter(pk=number).update(worked_at=now)


def rest(number: int, note: str) -> None:
    """Have a running release rest, since it cannot go on by itself.

    Args:
        number: of the release.
        note: why, and what to do.
    """

    def pause() -> None:
        with database.short_transaction() as connection:
            ours = releases.recent().order_by().filter(pk=number, state=ReleaseState.RUNNING)
            if ours.update(worked_at=clock.now(connection)):
                release = ours.get()
                _rest(release, ReleaseState.PAUSED, note)
                release.save(using=connection.alias)

    database.retrying(pause)


def size_of_step(release: Release) -> int:
    """Return how many deliveries the next step of a release looks at."""
    size = pace.portion(release.rate)
    return min(size, release.canary - release.let_go) if release.let_go < release.canary else size


def due_for_sweepers() -> list[int]:
    """Return the releases that sweepers work off and that may go on now."""
    now = clock.now(database.connection())
    return list(_for_sweepers().filter(next_at__lte=now).values_list("pk", flat=True))


def next_for_sweepers() -> datetime | None:
    """Return when the next release that sweepers work off may go on; ``None`` if there is none."""
    return _for_sweepers().order_by("next_at").values_list("next_at", flat=True).first()


def _for_sweepers() -> QuerySet[Release, Release]:
    running = releases.recent().filter(state=ReleaseState.RUNNING, by_sweepers=True)
    return running.order_by("next_at")


def _advance(number: int, board: Board, plan: Plan | None) -> Step:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        ours = releases.recent().order_by().filter(pk=number, state=ReleaseState.RUNNING)
        # A write first, which locks the row; the time tells that somebody works on it.
        if not ours.update(worked_at=now):
            return Step(goes_on=False)
        release = ours.get()
        wait = _wait(connection, release, now)
        step = Step(wait=wait) if wait else _let_next_go(connection, release, board, plan, now)
        release.save(using=connection.alias)
    return step


def _wait(connection: BaseDatabaseWrapper, release: Release, now: datetime) -> timedelta:
    """Return how long the rate asks to wait. There is no burst after a pause or a delay."""
    if release.rate is None:
        return timedelta(0)
    late = rows.deliveries(connection).filter(state=State.QUEUED, wake_at=release.let_go_at)
    if release.let_go_at is not None and late.exists():
        # The last portion has not left: it leaves now, and the next a full pause later.
        release.next_at = now + pace.pause(release.rate)
    return max(release.next_at - now, timedelta(0))


def _let_next_go(
    connection: BaseDatabaseWrapper,
    release: Release,
    board: Board,
    plan: Plan | None,
    now: datetime,
) -> Step:
    ahead = _ahead_of(release)
    read = ahead.next(release.cursor, size_of_step(release))
    if not read:
        _rest(release, ReleaseState.DONE)
        return Step(goes_on=False)
    page = ahead.what.matching(read)
    if statements.lock_generation(connection) != board.generation:
        raise StaleBoard
    if stopped := _newly_stopped(release, page, board):
        _rest(release, ReleaseState.PAUSED, stopped)
        return Step(goes_on=False)
    leaving = [row for row in page if row.type not in release.stopped_types]
    count = digests.let_go(connection, release, plan, now) if plan else 0
    count += _let_go(connection, release, leaving, now)
    release.cursor, release.left = read[-1].id, release.left + len(page) - len(leaving)
    release.let_go += count
    if count:
        release.let_go_at, release.next_at = now, now + pace.pause(release.rate)
    if count and release.let_go == release.canary:
        _rest(release, ReleaseState.CANARY)
    wait = max(release.next_at - now, timedelta(0))
    return Step(count, wait, release.state == ReleaseState.RUNNING)


def _ahead_of(release: Release) -> Ahead:
    """Return what this process has read of a release, under whose lock it is looked at."""
    key = (release.pk, release.begun_at)
    if key not in _read:
        if len(_read) == AT_ONCE:
            _read.clear()
        _read[key] = Ahead(releases.meant(release))
    return _read[key]


_read: dict[tuple[int, datetime], Ahead] = {}


def _newly_stopped(release: Release, page: Sequence[Held], board: Board) -> str:
    """Return what stops a type that was open when the release began, or ``""``.

    Somebody has pulled a switch since: that is a reason to rest, and not to pass over
    all the rest.
    """
    settings = conf.current()
    for type in {row.type for row in page}.difference(release.stopped_types):
        if ruling := board.ruling(type, settings):
            return f"{type} is stopped: {ruling}"
    return ""


def _let_go(
    connection: BaseDatabaseWrapper, release: Release, page: Sequence[Held], now: datetime
) -> int:
    """Queue those that are still held, save what ends in favour of another; return how many."""
    held = releases.meant(release).untouched(row.id for row in page)
    # Locked one by one in their order, so that two releases of the same do not deadlock.
    locked = held.select_for_update().order_by("id").values_list(*Leaving._fields)
    leaving = [Leaving(*values) for values in locked]
    endings = folding.folded(connection, release, leaving)
    folding.end(connection, endings, now)
    release.folded += len(endings)
    leaving = [each for each in leaving if each.id not in endings]
    _queue(connection, release, [each.id for each in leaving], now)
    Released.objects.using(connection.alias).bulk_create(
        Released(release=release, delivery=each.id, content=each.content) for each in leaving
    )
    return len(leaving)


def _queue(
    connection: BaseDatabaseWrapper, release: Release, ids: Sequence[UUID], now: datetime
) -> None:
    rows.deliveries(connection).filter(id__in=ids).update(
        # Who releases what is shown as late wants it to leave: it is due now, and that is no
        # schedule's word. First, since MariaDB assigns one after the other, and the rule changes.
        due_at=Case(When(rule__in=LATE, then=Value(now)), default=F("due_at")),
        scheduled=Case(When(rule__in=LATE, then=Value(False)), default=F("scheduled")),
        state=State.QUEUED,
        # A new attempt, so that whoever still works on the row under the old one has lost it.
        attempt=F("attempt") + 1,
        # A conflict keeps its own derived key, so that it is still released only once.
        rule="released",
        reason=f"By {release.actor}: {release.reason}"[:500],
        changed_at=now,
        wake_at=now,
    )


def _rest(release: Release, state: ReleaseState, note: str = "") -> None:
    """Have it let nothing more go by itself, on record."""
    release.state, release.note = state.value, note[:500]
    switchboard.record_event(
        "release",
        f"{release.pk}: {release.subject}",
        actor=release.actor,
        reason=note or release.reason,
        before=State.HELD,
        after=state.value,
        count=release.let_go,
    )
