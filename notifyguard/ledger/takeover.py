"""Taking a key over from a batch that claimed it and has not marked it.

A batch claims far ahead of what it hands over, and may have died since. Until
the mark nothing of the message has left, so whoever comes may have it: the
batch's own mark fails then, since the row's attempt has moved on.
"""

from __future__ import annotations

from enum import Enum

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, database, hold
from notifyguard.decision import State
from notifyguard.exceptions import NotifyguardError
from notifyguard.identity import instance
from notifyguard.ledger import rows, statements
from notifyguard.ledger.entry import Entry
from notifyguard.models import Claim

UNMARKED = {"state": State.CLAIMED, "wake_at": None}
"""A batch's row: claimed, not marked, nothing kept."""


class StaleBoard(NotifyguardError):
    """A switch was set after the decision; decide again."""


class Holder(Enum):
    """What became of the delivery that held a key we wanted."""

    LIVE = "live"
    EVICTED = "evicted"
    GONE = "gone"


def take_over(entry: Entry, generation: int, frozen: hold.Frozen | None = None) -> Holder:
    """Make the holder's row ours, one attempt later, if it is unmarked.

    Args:
        entry: lost its claim; takes on the id and attempt of the row it takes over.
        generation: of the board its decision was made under.
        frozen: its message, if the entry keeps it.

    Raises:
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    if entry.key is None:
        return Holder.LIVE
    with database.short_transaction() as connection:
        if statements.lock_generation(connection) != generation:
            raise StaleBoard
        claims = Claim.objects.using(connection.alias).filter(key=entry.key)
        claim = claims.first()
        if claim is None:
            return Holder.GONE
        deliveries = rows.deliveries(connection)
        theirs = deliveries.filter(id=claim.delivery, **UNMARKED).first()
        if theirs is None:
            return Holder.LIVE
        now = clock.now(connection)
        taken = deliveries.filter(id=theirs.id, attempt=theirs.attempt, **UNMARKED).update(
            attempt=theirs.attempt + 1,
            instance=instance(),
            created_at=now,  # of our message, and from then our lease runs
            changed_at=now,
            due_at=entry.due_at,
            wake_at=rows.wakes(entry, now),
            **{name: getattr(entry, name) for name in _TAKEN_ALONG},
        )
        if not taken:
            return Holder.LIVE
        claims.update(fingerprint=entry.fingerprint)
        if frozen is not None:
            hold.keep_once(entry.dispatch, frozen, now)
        entry.id, entry.attempt = theirs.id, theirs.attempt + 1
        return Holder.EVICTED


def evict(connection: BaseDatabaseWrapper, entry: Entry) -> bool:
    """Give the key of an unmarked row to an entry that has a row of its own.

    Args:
        connection: in the transaction that has just met the claim, and so locked it.
        entry: queued, its message kept.
    """
    if entry.key is None:
        return False
    claims = Claim.objects.using(connection.alias).filter(key=entry.key)
    theirs = claims.values_list("delivery", flat=True).get()
    evicted = (
        rows.deliveries(connection)
        .filter(id=theirs, **UNMARKED)
        .update(
            state=State.DUPLICATE,
            attempt=F("attempt") + 1,
            rule="once",
            reason="A queued message with the same key went first.",
            changed_at=clock.now(connection),
        )
    )
    return bool(evicted) and bool(claims.update(delivery=entry.id, fingerprint=entry.fingerprint))


_TAKEN_ALONG = tuple(name for name in rows.CARRIED if name not in ("id", "attempt"))
