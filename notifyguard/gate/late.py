"""What could not be written down in time: logged, and written as soon as it can be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError

from notifyguard import ledger
from notifyguard.ledger import Entry
from notifyguard.ledger.entry import new_id

logger = logging.getLogger("notifyguard")

unrecorded: deque[Entry] = deque(maxlen=1000)
"""Entries of critical messages that left while the ledger was down."""


def remember(entries: Iterable[Entry]) -> None:
    """Keep what left without a record, until the ledger works again or the process ends."""
    for entry in entries:
        # A row of its own: whether the one that was being written is there, nobody can
        # tell now, and two of one id would refuse all the others with them.
        entry.id = new_id()
        unrecorded.append(entry)


def record_late() -> None:
    """Write down what left while the ledger was down, now that it works again."""
    while unrecorded:
        entries = [unrecorded.popleft() for _ in range(len(unrecorded))]
        try:
            ledger.note(entries)
        except DatabaseError:
            unrecorded.extend(entries)
            raise


@contextmanager
def logged(doing: str) -> Iterator[None]:
    """Log a ledger's failure instead of raising it.

    For what comes after a hand-over: an exception would have the caller send a
    message again that left.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        # Not what it says: PostgreSQL shows the failing row, with address and subject.
        name = type(error).__name__
        logger.error("notifyguard: could not %s (%s); the sweeper will settle it", doing, name)
