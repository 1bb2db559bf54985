"""Heartbeats: whether what must run beside the project's processes was heard lately.

A process that hangs or died cannot say so. Each that is meant to run for ever writes a row
again and again, so that whoever reads the rows, from anywhere, sees which of them fell silent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Literal

from django.db import Error as DatabaseFailure
from django.db import IntegrityError
from django.db.models import Exists, OuterRef, QuerySet

from notifyguard import clock, database
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.models import Heartbeat

logger = logging.getLogger("notifyguard")

MISSED = 3
"""Heartbeats in a row after which somebody is silent: one may come late."""

FORGOTTEN_AFTER = timedelta(days=1)
"""Silent or ended for so long, it is forgotten, if others of its kind are heard."""

MAX_NAME = 200


class Kind(StrEnum):
    """What is meant to run."""

    WORKER = "worker"
    BEAT = "beat"
    SWEEPER = "sweeper"


@dataclass(frozen=True, slots=True)
class Heard:
    """When somebody was last heard.

    Attributes:
        kind: what it is: ``worker``, ``beat``, ``sweeper``.
        name: which one of its kind, ``celery@web-3``.
        state: ``heard``; ``silent`` if it should have been heard since; ``ended`` if it
            ended because it was told to.
        heard_at: when, by the database's clock.
        every: seconds between two of its heartbeats.
        ended_at: when it said that it ends.
    """

    kind: str
    name: str
    state: Literal["heard", "silent", "ended"]
    heard_at: datetime
    every: int
    ended_at: datetime | None


def record(kind: Kind, name: str, every: int, at: datetime | None = None) -> None:
    """Write down that somebody was heard; what comes late takes nothing back.

    Args:
        kind: what it is.
        name: which one of its kind.
        every: seconds until it is to be heard again.
        at: when, by the database's clock; ``None`` for now.

    Raises:
        DatabaseError: it could not be written.
    """
    at = at or clock.now(database.connection())
    try:
        database.retrying(partial(_record, kind, name[:MAX_NAME], every, at))
    except IntegrityError:
        pass  # somebody else wrote the first one of it, at this moment


def end(kind: Kind, name: str) -> None:
    """Write down that somebody ends because it was told to, and is not silent for a fault.

    Raises:
        DatabaseError: it could not be written.
    """
    known, now = _of(kind, name[:MAX_NAME]), clock.now(database.connection())
    database.retrying(partial(known.update, ended_at=now))


def heard() -> list[Heard]:
    """Return who was ever heard and is not forgotten, by kind and name."""
    now = clock.now(database.connection())
    return [_heard(row, now) for row in _rows().order_by("kind", "name")]


def forgettable() -> QuerySet[Heartbeat, Heartbeat]:
    """Return the rows that ``prune`` deletes: gone for a day, and replaced.

    The last of its kind stays, however long ago: that none was heard since is what it tells.
    """
    others = _rows().filter(kind=OuterRef("kind"), heard_at__gte=_long_ago(), ended_at=None)
    return _rows().filter(Exists(others), heard_at__lt=_long_ago())


def forget(keys: Sequence[int]) -> None:
    """Delete rows of ``forgettable``, save those that were heard since they were found."""
    _rows().filter(pk__in=keys, heard_at__lt=_long_ago()).delete()


class Pulse:
    """The heartbeats of one process, written as often as they are due and not more.

    What cannot be written is logged, once until it can be again: whoever is heard has other work.

    Args:
        kind: what the process is.
        name: which one of its kind.
        every: seconds between two.
    """

    def __init__(self, kind: Kind, name: str, every: int) -> None:
        self._kind = kind
        self._name = name
        self._every = every
        self._next = 0.0
        self._failed = False

    def beat(self) -> None:
        """Write a heartbeat, if the last one was not just written."""
        now = time.monotonic()
        if now < self._next:
            return
        # Half of the time, so that whoever asks once in each interval is never a moment early.
        self._next = now + self._every / 2
        try:
            record(self._kind, self._name, self._every)
        except (DatabaseFailure, LedgerUnavailable) as error:
            self._say(error)
        else:
            self._failed = False

    def end(self) -> None:
        """Write down that the process ends because it was told to."""
        try:
            end(self._kind, self._name)
        except (DatabaseFailure, LedgerUnavailable) as error:
            self._say(error)

    def _say(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            logger.warning(
                "notifyguard: the heartbeat of %s %s cannot be written (%s); it will look silent",
                self._kind, self._name, type(error).__name__,
            )  # fmt: skip


def _long_ago() -> datetime:
    return clock.now(database.connection()) - FORGOTTEN_AFTER


def _record(kind: Kind, name: str, every: int, at: datetime) -> None:
    known = _of(kind, name)
    if known.filter(heard_at__lt=at).update(heard_at=at, every=every, ended_at=None):
        return
    if not known.exists():
        _rows().create(kind=kind, name=name, every=every, heard_at=at)


def _heard(row: Heartbeat, now: datetime) -> Heard:
    state: Literal["heard", "silent", "ended"] = "heard"
    if row.ended_at is not None:
        state = "ended"
    elif row.heard_at < now - MISSED * timedelta(seconds=row.every):
        state = "silent"
    return Heard(row.kind, row.name, state, row.heard_at, row.every, row.ended_at)


def _of(kind: Kind, name: str) -> QuerySet[Heartbeat, Heartbeat]:
    return _rows().filter(kind=kind, name=name)


def _rows() -> QuerySet[Heartbeat, Heartbeat]:
    return Heartbeat.objects.using(database.alias())
