"""What could not be written down in time: logged, and written as soon as it can be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from django.db import Error as DatabaseFailure
from django.db import IntegrityError

from notifyguard import database, ledger
from notifyguard.database import Standing
from notifyguard.ledger import Entry

logger = logging.getLogger("notifyguard")

unrecorded: deque[Entry] = deque(maxlen=1000)
"""Entries of critical messages that left while the ledger was down."""


def remember(entries: Iterable[Entry]) -> None:
    """Keep what left without a record, until the ledger works again or the process ends."""
    for entry in entries:
        if len(unrecorded) == unrecorded.maxlen:
            logger.error("notifyguard: never recorded, sent: dispatch %s", unrecorded[0].dispatch)
        unrecorded.append(entry)


def record_late() -> None:
    """Write down what left while the ledger was down, now that it works again.

    Not in the caller's transaction: its rollback would take the records back.
    """
    if not unrecorded or database.standing() is Standing.CALLER:
        return
    taken = deque(_taken())
    try:
        ledger.note(taken)
        taken.clear()
    except IntegrityError:
        # One of them has a row: its commit had gone through, and only the reply was lost.
        while taken:
            _record_or_confirm(taken[0])
            taken.popleft()
    finally:
        unrecorded.extend(taken)


def _taken() -> Iterator[Entry]:
    # Other threads take too: each entry goes to one of them.
    with suppress(IndexError):
        while True:
            yield unrecorded.popleft()


def _record_or_confirm(entry: Entry) -> None:
    try:
        ledger.note([entry])
    except IntegrityError:
        if not ledger.has_row(entry):
            raise
        ledger.confirm([entry], unmarked=True)


@contextmanager
def logged(doing: str) -> Iterator[None]:
    """Log a ledger's failure instead of raising it.

    For what comes after a hand-over: an exception would have the caller send a
    message again that left.
    """
    try:
        yield
    except DatabaseFailure as error:
        # Not what it says: PostgreSQL shows the failing row, with address and subject.
        name = type(error).__name__
        logger.error("notifyguard: could not %s (%s); the sweeper will settle it", doing, name)
