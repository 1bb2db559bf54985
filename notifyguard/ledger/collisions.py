"""A key that somebody holds already: what that makes of the delivery that wanted it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from notifyguard.decision import State
from notifyguard.ledger.entry import Entry, Taken, is_inferred, key_of

logger = logging.getLogger("notifyguard")

DUPLICATE = "once"
"""The rule on what somebody else sends, or has sent."""

CONFLICT = "conflict"
"""The rule on what is held because its key was used for a message with other content."""

CONFLICT_REASON = "The key was used for a message with other content; somebody must look."


def is_conflict(entry: Entry, taken: Taken) -> bool:
    """Tell whether the key is held for another content than the entry's.

    A content that is not known, on either side, is taken for the same. So is any under an
    inferred key: what a task sends once more has another time in it.
    """
    if is_inferred(entry.key):
        return False
    known = entry.fingerprint is not None and taken.fingerprint is not None
    return known and entry.fingerprint != taken.fingerprint


def own_key(entry: Entry, salt: str) -> UUID:
    """Return the key under which an entry in conflict is held: its key's, by its content.

    The same conflict again is a duplicate of the held one, and what is released
    from it leaves once.
    """
    return key_of(salt, CONFLICT, str(entry.key), str(entry.fingerprint))


def make_duplicate(entry: Entry) -> None:
    """Write on an entry that somebody else sends it, or has."""
    entry.state, entry.rule, entry.frozen = State.DUPLICATE, DUPLICATE, False
    entry.reason = "Another delivery holds its key."


def make_conflict(entry: Entry, salt: str) -> None:
    """Write on an entry that a person must look at it; its message is kept."""
    entry.state, entry.rule, entry.frozen = State.HELD, CONFLICT, True
    entry.reason, entry.key = CONFLICT_REASON, own_key(entry, salt)


def make_observed(entry: Entry, taken: Taken) -> None:
    """Write on an entry what its key would have made of it; it goes on without the key."""
    if not entry.rule:
        entry.rule = f"observed {CONFLICT if is_conflict(entry, taken) else 'duplicate'}"
        entry.reason = "Another delivery holds its key."
    entry.key = None


def alarm(entries: Iterable[Entry]) -> None:
    """Say of each conflict that a key was used twice for different content."""
    for entry in entries:
        if entry.state is State.HELD and entry.rule == CONFLICT:
            logger.error(
                "notifyguard: conflict: a key of type %s was used for another content; "
                "held as delivery %s",
                entry.type,
                entry.id,
            )
