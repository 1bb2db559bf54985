"""Counting in the ledger's database: the limiter that is always there.

One transaction of its own locks the counters, in one order, reads one entry for each
limit and adds one for each delivery that may leave. Its cost does not grow with what
a limit allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import database
from notifyguard.conf import LimiterSettings
from notifyguard.database import Standing
from notifyguard.limiters import log
from notifyguard.limiters.base import Quota, Refusal, Request
from notifyguard.limiters.recount import Mark, Recount

T = TypeVar("T")

MICROSECONDS = 1_000_000


class DatabaseLimiter:
    """Counts in the ledger's own tables, by the database's clock."""

    def __init__(self, settings: LimiterSettings) -> None:
        """Takes neither a location nor options."""
        self._recount = Recount()

    def acquire(
        self, requests: Sequence[Request], *, from_ledger: bool = False
    ) -> list[Refusal | None]:
        """Count what may leave.

        Args:
            requests: in their order.
            from_ledger: count also what the ledger says was sent and nobody counted here.

        Raises:
            DatabaseError: nothing was counted.
        """
        if not requests:
            return []
        answers, marks = _in_own_transaction(partial(self._acquire, requests, from_ledger))
        self._recount.remember(marks)
        return answers

    def refund(self, requests: Sequence[Request]) -> None:
        """Free what these deliveries counted.

        Raises:
            DatabaseError: nothing was freed.
        """
        if requests:
            _in_own_transaction(partial(_refund, requests))

    def renew(self, requests: Sequence[Request]) -> None:
        """Let these deliveries count from now on.

        Raises:
            DatabaseError: they count from when they did.
        """
        if requests:
            _in_own_transaction(partial(_renew, requests))

    def _acquire(
        self, requests: Sequence[Request], from_ledger: bool, connection: BaseDatabaseWrapper
    ) -> tuple[list[Refusal | None], Mapping[UUID, Mark]]:
        quotas = {quota for request in requests for quota in request.quotas}
        marks = self._recount.complete(connection, quotas) if from_ledger else {}
        books = _Books(connection, requests)
        answers = [books.judge(request) for request in requests]
        books.write()
        return answers, marks


def _refund(requests: Sequence[Request], connection: BaseDatabaseWrapper) -> None:
    there = log.lock_existing(connection, _counters(requests))
    for request in requests:
        for counter in request.counters:
            if counter in there:
                log.remove(connection, counter, request.delivery)


def _renew(requests: Sequence[Request], connection: BaseDatabaseWrapper) -> None:
    there = log.lock_existing(connection, _counters(requests))
    now = log.now(connection)
    for name, counter in there.items():
        theirs = {each.delivery for each in requests if name in each.counters}
        log.renew(connection, name, theirs, max(now, counter.used_at))


def _counters(requests: Sequence[Request]) -> list[UUID]:
    return sorted({counter for each in requests for counter in each.counters}, key=str)


class _Books:
    """The counters of a call, locked, with the entries that its limits ask for."""

    def __init__(self, connection: BaseDatabaseWrapper, requests: Sequence[Request]) -> None:
        self._connection = connection
        quotas = {quota for request in requests for quota in request.quotas}
        demand = Counter(counter for request in requests for counter in request.counters)
        self._counters = log.lock(connection, demand)
        now = log.now(connection)
        # A clock that went back must not write an entry before the one it follows.
        self._now = {name: max(now, each.used_at) for name, each in self._counters.items()}
        self._times = log.times(connection, list(self._ranges(quotas, demand)))
        self._new: list[log.Entry] = []
        self._refused: Counter[UUID] = Counter()

    def judge(self, request: Request) -> Refusal | None:
        """Count a delivery if there is room in all its quotas."""
        full = [quota for quota in request.quotas if self._frees(quota) is not None]
        if full:
            refusal = max(map(self._refusal, full), key=lambda refusal: refusal.seconds)
            self._refused.update(request.counters)
            return refusal
        for name in request.counters:
            counter = self._counters[name]
            counter.total += 1
            self._times.setdefault(name, {})[counter.total] = self._now[name]
            self._new.append(log.Entry(name, counter.total, request.delivery, self._now[name]))
        return None

    def write(self) -> None:
        """Write what was counted."""
        if self._new:
            log.append(self._connection, self._new)
            log.lengthen(self._connection, Counter(entry.counter for entry in self._new), self._now)

    def _frees(self, quota: Quota, ahead: int = 0) -> int | None:
        """Return when there will be room, behind so many who wait; ``None`` if there is now."""
        counter = self._counters[quota.counter]
        place = counter.total - quota.limit.number + 1 + ahead
        at = self._times.get(quota.counter, {}).get(place)
        if at is None or at < self._now[quota.counter] - quota.window:
            return None
        return at + quota.window

    def _refusal(self, quota: Quota) -> Refusal:
        frees = self._frees(quota, self._refused[quota.counter]) or self._frees(quota)
        wait = (frees or 0) - self._now[quota.counter]
        return Refusal(quota, (wait + 1) / MICROSECONDS)

    def _ranges(self, quotas: set[Quota], demand: Counter[UUID]) -> Iterator[log.Range]:
        asked = {(quota.counter, quota.limit.number) for quota in quotas}
        for name, number in sorted(asked, key=str):
            total = self._counters[name].total
            first = max(1, total - number + 1)
            last = min(total, total - number + demand[name])
            if first <= last:
                yield log.Range(name, first, last)


def _in_own_transaction(deed: Callable[[BaseDatabaseWrapper], T]) -> T:
    """Do something in a transaction that is committed before anything leaves, and locks briefly.

    Inside a transaction of the caller it is one beside it: a lock in the caller's would
    last until that ends, and a rollback would forget what was sent all the same. SQLite
    knows one writer only, which the caller then is.
    """
    if database.connection().vendor != "sqlite" and database.standing() is Standing.CALLER:
        return database.beside(partial(_committed, deed))
    return database.retrying(partial(_shortly, deed))


def _shortly(deed: Callable[[BaseDatabaseWrapper], T]) -> T:
    with database.short_transaction() as connection:
        return deed(connection)


def _committed(deed: Callable[[BaseDatabaseWrapper], T], beside: BaseDatabaseWrapper) -> T:
    if beside.in_atomic_block:
        raise OperationalError("there is no connection beside the caller's to count over")
    beside.set_autocommit(False)
    try:
        if beside.vendor == "postgresql":
            with beside.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        done = deed(beside)
        beside.commit()
        beside.set_autocommit(True)
    except BaseException:
        beside.close()  # and with it the transaction; it is opened again when needed
        raise
    return done
