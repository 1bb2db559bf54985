"""The spool: tasks that wait in the ledger's database until they are due.

Any number of processes may publish from it: each takes rows that no other has, for the
time of a lease. A process that dies between publishing and deleting leaves its rows to the
next one, which publishes them again under the same ids: at least once, and in the ordinary
case once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import uuid4

from django.db.models import QuerySet

from notifyguard import clock, database
from notifyguard.contrib.celery.models import SpooledTask
from notifyguard.ledger import statements

T = TypeVar("T")

LEASE = timedelta(minutes=1)
"""After this a process that has taken rows and says nothing is taken for dead."""

FORGOTTEN = timedelta(minutes=5)
"""A task that nobody has published so long after it was due is said to wait."""

BATCH = 1_000
"""Ids of one statement."""


def keep(
    *, app: str, task_id: str, name: str, due_at: datetime, call_site: str, message: str
) -> None:
    """Keep a task message until it is due.

    Inside the caller's open transaction it is written in that: rolled back, it was
    never sent.

    Args:
        app: the name of the Celery app that publishes it.
        task_id: of the task.
        name: of the task.
        due_at: its ETA, with its time zone.
        call_site: where it was sent from.
        message: as ``envelope.written`` wrote it.

    Raises:
        DatabaseError, LedgerUnavailable: it was not kept.
    """
    at = clock.stored(due_at)
    task = SpooledTask(
        app=app,
        task_id=task_id,
        name=name,
        due_at=at,
        publish_at=at,
        call_site=call_site[:200],
        message=message,
    )
    database.retrying(partial(_insert, task))


def remove(task_ids: Iterable[str]) -> int:
    """Take revoked tasks out; return how many rows there were.

    Args:
        task_ids: of Celery.
    """
    wanted = sorted({str(each) for each in task_ids})
    return sum(database.retrying(partial(_remove, batch)) for batch in batches(wanted))


def rows() -> QuerySet[SpooledTask, SpooledTask]:
    """Return all that waits, in the ledger's database."""
    return SpooledTask.objects.using(database.alias())


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield ids in such portions as fit into one statement."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def is_due() -> bool:
    """Tell whether anything is due; one cheap question, for those who ask every few seconds."""
    first = rows().order_by("publish_at").values_list("publish_at", flat=True).first()
    return first is not None and first <= clock.now(database.connection())


def take(app: str, limit: int) -> list[SpooledTask]:
    """Take the tasks of an app that are due, for this process alone, until the lease ends.

    Args:
        app: its name.
        limit: how many at most.
    """
    return database.retrying(partial(_take, app, limit))


def published(taken: Collection[SpooledTask]) -> None:
    """Delete what is in the broker's hands."""
    if taken:
        database.retrying(_ours(taken).delete)


def give_back(taken: Collection[SpooledTask], wait: timedelta, note: str = "") -> None:
    """Leave taken rows to whoever comes next.

    Args:
        taken: the rows.
        wait: how long nobody shall take them.
        note: why they could not be published; ``""`` for no reason of theirs.
    """
    if taken:
        at = clock.now(database.connection()) + wait
        change = {"publish_at": at, "taken_by": None} | ({"note": note[:500]} if note else {})
        database.retrying(partial(_ours(taken).update, **change))


def of_ids(task_ids: Iterable[str]) -> list[SpooledTask]:
    """Return the rows of these tasks, without their messages."""
    wanted = set(task_ids)
    found = rows().defer("message").filter(task_id__in=wanted).order_by("publish_at", "id")
    # MariaDB takes "A" and "a" for one.
    return [row for row in found if row.task_id in wanted]


def stamped() -> Iterator[SpooledTask]:
    """Yield all tasks that carry stamps; read from one end to the other, for want of an index."""
    return rows().filter(message__contains='"stamped_headers": ["').iterator(BATCH)


def overdue(apps: Collection[str], since: timedelta) -> SpooledTask | None:
    """Return a task that has been due for so long and belongs to none of these apps."""
    due = rows().filter(publish_at__lte=clock.now(database.connection()) - since)
    return due.defer("message").exclude(app__in=apps).order_by("publish_at").first()


def _insert(task: SpooledTask) -> None:
    if database.standing() is database.Standing.AUTOCOMMIT:
        _save(task)
        return
    with database.short_transaction():  # a savepoint: what fails here must not harm the caller
        _save(task)


def _save(task: SpooledTask) -> None:
    task.spooled_at = clock.now(database.connection())
    task.save(using=database.alias(), force_insert=True)


def _remove(task_ids: Sequence[str]) -> int:
    found = [row.pk for row in of_ids(task_ids)]
    return rows().filter(pk__in=found).delete()[0] if found else 0


def _take(app: str, limit: int) -> list[SpooledTask]:
    with database.short_transaction() as connection:
        # Locked first so that SQLite begins by writing; elsewhere it costs nothing.
        statements.lock_generation(connection)
        now = clock.now(connection)
        due = rows().filter(app=app, publish_at__lte=now).order_by("publish_at")
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        taken, mine = list(due[:limit]), uuid4()
        rows().filter(pk__in=[row.pk for row in taken]).update(
            taken_by=mine, publish_at=now + LEASE
        )
    for row in taken:
        row.taken_by = mine
    return taken


def _ours(taken: Collection[SpooledTask]) -> QuerySet[SpooledTask, SpooledTask]:
    """Return those of the taken rows that nobody else has taken since."""
    takers = {row.taken_by for row in taken}
    return rows().filter(pk__in=[row.pk for row in taken], taken_by__in=takers)
