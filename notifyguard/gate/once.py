"""Keys that are taken: duplicates are settled, conflicts set aside, before anything connects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from notifyguard import ledger
from notifyguard.decision import Decision, Sending, State
from notifyguard.gate.case import Case
from notifyguard.ledger import Entry, Taken, collisions
from notifyguard.switchboard import Board

HELD_AS_CONFLICT = Decision(
    Sending.HOLD, rule=collisions.CONFLICT, reason=collisions.CONFLICT_REASON
)


def drop_taken(cases: Sequence[Case], board: Board) -> None:
    """Settle what another delivery sends or has sent; set aside what is in conflict with it.

    This is the cheap look. What loses its key after it stays unsettled, and its
    message comes here again.

    Args:
        cases: judged; a key twice among them counts as taken by the first.
        board: the switches they were judged under.
    """
    observed = bool(cases) and cases[0].settings.mode == "observe"
    conflicts = []
    for entry, holder in _collisions([entry for case in cases for entry in case.unsettled]):
        if observed:
            collisions.make_observed(entry, holder)
        elif collisions.is_conflict(entry, holder):
            collisions.make_conflict(entry, board.salt)
            conflicts.append(entry)
        else:
            collisions.make_duplicate(entry)
    for entry, _ in _collisions(conflicts):  # each content is held once
        collisions.make_duplicate(entry)
    for case in cases:
        duplicates = [entry for entry in case.unsettled if entry.state is State.DUPLICATE]
        if any(ledger.is_inferred(entry.key) for entry in duplicates):
            # The code that sends it knows of no key, and would take 0 for a failure.
            case.returned = case.returned or 1
        case.settle(duplicates)
        case.set_aside(HELD_AS_CONFLICT, [entry for entry in case.unsettled if _is_held(entry)])


def _collisions(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Taken]]:
    """Yield each entry whose key is taken, by the ledger or by an entry before it."""
    keyed = [(entry, entry.key) for entry in entries if entry.key is not None and entry.takes_key]
    taken = ledger.look(list(dict.fromkeys(key for _, key in keyed)))
    for entry, key in keyed:
        holder = taken.setdefault(key, Taken(entry.id, entry.fingerprint))
        if holder.delivery != entry.id:
            yield entry, holder


def _is_held(entry: Entry) -> bool:
    return entry.state is State.HELD and entry.rule == collisions.CONFLICT
