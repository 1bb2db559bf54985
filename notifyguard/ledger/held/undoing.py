"""What was discarded and can be had back: held again, for as long as its message is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from notifyguard import clock, database
from notifyguard.actor import Actor, Permission
from notifyguard.decision import State
from notifyguard.ledger import deeds, rows, statements, taking
from notifyguard.ledger.entry import Entry
from notifyguard.ledger.held.choice import Choice, Held, matching, narrowed
from notifyguard.models import FrozenMessage

PAGE = 1_000
"""Kept messages that are looked at together, and undone in one transaction."""

BY_PERSON = ("discarded", "switch")
"""Rules of what a person discarded: ``discard-held``, and a switch to ``discard``."""

UNDONE = "undone"
"""The rule that holds what was had back."""


class Undone(NamedTuple):
    """What came of a batch.

    Attributes:
        held: deliveries that are held again.
        taken: deliveries that stay discarded: another with their key was sent meanwhile.
    """

    held: int
    taken: int


def discarded(choice: Choice) -> Iterator[Held]:
    """Yield the discarded deliveries that can be had back, those sent first first.

    Found by the messages that are kept: no index knows the discarded ones among
    everything that was ever sent.
    """
    found = (row for page in _pages(choice) for row in page)
    return islice(found, choice.limit)


def undo_discard(choice: Choice, *, reason: str, actor: Actor) -> Iterator[Undone]:
    """Hold discarded deliveries again; nothing is sent by this.

    Lazy, one transaction and one event for each batch. Keys that were left free are
    taken again; where another delivery has taken one, that was sent or will be, and
    the discarded one stays as it is.

    Args:
        choice: which of them; its rules are those that discarded.
        reason: why.
        actor: who.

    Yields:
        What came of a batch, once it is committed.

    Raises:
        NotAllowed: the reason or the permission is missing.
    """
    reason = deeds.accountable(reason, actor, Permission.DISCARD_HELD)
    return _in_batches(choice, reason, actor)


def _in_batches(choice: Choice, reason: str, actor: Actor) -> Iterator[Undone]:
    found = discarded(choice)
    while batch := list(islice(found, PAGE)):
        yield database.retrying(partial(_undo, batch, str(choice), reason, actor))


def _pages(choice: Choice) -> Iterator[list[Held]]:
    kept = FrozenMessage.objects.using(database.alias()).order_by("dispatch")
    dispatches = list(kept.values_list("dispatch", flat=True)[:PAGE])
    while dispatches:
        found = narrowed(rows.deliveries(database.connection()), choice).filter(
            dispatch__in=dispatches, state=State.DISCARDED
        )
        found = found.exclude(rule__in=statements.WITHOUT_BODY).order_by("id")
        page = [Held(*values) for values in found.values_list(*Held._fields)]
        yield list(matching(choice, page))
        following = kept.filter(dispatch__gt=dispatches[-1])
        dispatches = list(following.values_list("dispatch", flat=True)[:PAGE])


def _undo(batch: Sequence[Held], subject: str, reason: str, actor: Actor) -> Undone:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        messages = FrozenMessage.objects.using(connection.alias)
        messages = messages.filter(dispatch__in=sorted({row.dispatch for row in batch}))
        # Kept anew: ``prune`` waits for this, asks again and leaves them.
        messages.update(frozen_at=now)
        found = rows.deliveries(connection).filter(
            id__in=[row.id for row in batch],
            state=State.DISCARDED,
            dispatch__in=list(messages.values_list("dispatch", flat=True)),
        )
        entries = [rows.entry_of(row) for row in found.select_for_update().order_by("id")]
        ours = _with_keys(connection, entries, now)
        rows.deliveries(connection).filter(id__in=ours, state=State.DISCARDED).update(
            state=State.HELD,
            attempt=F("attempt") + 1,
            rule=UNDONE,
            reason=f"Discarded, and had back by {actor}: {reason}"[:500],
            changed_at=now,
            wake_at=clock.never(),
        )
        deeds.record(
            "undo_discard",
            subject,
            reason=reason,
            actor=actor,
            before=State.DISCARDED,
            after=State.HELD,
            count=len(ours),
        )
    return Undone(len(ours), len(entries) - len(ours))


def _with_keys(
    connection: BaseDatabaseWrapper, entries: Sequence[Entry], now: datetime
) -> list[UUID]:
    """Take the keys of the entries; return those who have theirs, or need none."""
    keyed: dict[UUID, Entry] = {}
    for entry in entries:
        if entry.key is not None:
            keyed.setdefault(entry.key, entry)
    holders = taking.claim(connection, list(keyed.values()), now) if keyed else {}
    return [
        entry.id
        for entry in entries
        if entry.key is None or holders[entry.key].delivery == entry.id
    ]
