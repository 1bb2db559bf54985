"""What could not be written down in time: logged, and written as soon as it can be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseFailure
from django.db import IntegrityError

from notifyguard import ledger
from notifyguard.ledger import Entry

logger = logging.getLogger("notifyguard")

unrecorded: deque[Entry] = deque(maxlen=1000)
"""Entries of critical messages that left while the ledger was down."""


def remember(entries: Iterable[Entry]) -> None:
    """Keep what left without a record, until the ledger works again or the process ends."""
    unrecorded.extend(entries)


def record_late() -> None:
    """Write down what left while the ledger was down, now that it works again."""
    while unrecorded:
        entries = [unrecorded.popleft() for _ in range(len(unrecorded))]
        try:
            ledger.note(entries)
        except IntegrityError:
            # One of them had a row, whose commit was thought lost; its lease will end.
            logger.error("notifyguard: %d late records are in the ledger already", len(entries))
        except DatabaseFailure:
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
    except DatabaseFailure as error:
        # Not what it says: PostgreSQL shows the failing row, with address and subject.
        name = type(error).__name__
        logger.error("notifyguard: could not %s (%s); the sweeper will settle it", doing, name)
