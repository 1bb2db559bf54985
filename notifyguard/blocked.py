"""Blocked addresses: who gets nothing, why, and who said so.

What email services call a suppression list. Each change is one transaction with its
events and a new generation, so that cached switches are never stale: when it
returns, no hand-over to a blocked address begins any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import QuerySet

from notifyguard import clock, database, switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.addresses import normalised
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import deeds
from notifyguard.models import BlockedAddress, Event
from notifyguard.switchboard.blocks import id_of
from notifyguard.switchboard.control import change_generation

BATCH = 1_000
"""Addresses of one transaction."""

BLOCKED, FREE = "blocked", "not blocked"


def block(
    addresses: Iterable[str],
    *,
    reason: str,
    actor: Actor,
    everything: bool = False,
    expires_at: datetime | None = None,
) -> int:
    """Block addresses; one that is blocked already gets the new reason and end.

    Args:
        addresses: as they are written; a name before them is fine.
        reason: why.
        actor: who.
        everything: critical types too.
        expires_at: when it ends by itself; ``None`` for never.

    Returns:
        How many addresses are meant, each once.

    Raises:
        NotAllowed: an address is none, the end is past or too far away, or the reason or
            permission is missing; nothing was changed.
    """
    reason = deeds.accountable(reason, actor, Permission.BLOCK_ADDRESSES)
    switchboard.check_end(expires_at)
    meant = _checked(addresses)
    for start in range(0, len(meant), BATCH):
        said = BlockedAddress(
            everything=everything, reason=reason[:500], author=actor.name, expires_at=expires_at
        )
        database.retrying(partial(_block, meant[start : start + BATCH], said))
        switchboard.forget()
    return len(meant)


def unblock(addresses: Iterable[str], *, reason: str, actor: Actor) -> list[str]:
    """Take blocks away. What was discarded for them is not sent by that: see ``undo_discard``.

    Args:
        addresses: as they are written.
        reason: why.
        actor: who.

    Returns:
        The addresses that were blocked, normalised.

    Raises:
        NotAllowed: as ``block``.
    """
    reason = deeds.accountable(reason, actor, Permission.BLOCK_ADDRESSES)
    meant, freed = _checked(addresses), []
    for start in range(0, len(meant), BATCH):
        batch = meant[start : start + BATCH]
        freed += database.retrying(partial(_unblock, batch, reason, actor.name))
        switchboard.forget()
    return freed


def among(addresses: Sequence[str]) -> set[str]:
    """Return which of some normalised addresses are blocked now."""
    return set(switchboard.blocked_among(switchboard.board(fresh=True), addresses))


def listed(beginning: str = "") -> QuerySet[BlockedAddress, BlockedAddress]:
    """Return the blocked addresses, the latest first, those that have ended too.

    Args:
        beginning: of the address, in lower case; empty for all.
    """
    if beginning:
        return _blocks().filter(database.begins("address", beginning))
    return _blocks().order_by("-blocked_at", "id")


def _block(addresses: Sequence[str], said: BlockedAddress) -> None:
    with database.short_transaction() as connection:
        change_generation(connection)
        now = clock.now(connection)
        before = _taken(addresses)
        # Deleted and made anew: no upsert is the same on all databases.
        _blocks().filter(id__in=before).delete()
        _blocks().bulk_create(
            BlockedAddress(
                id=id_of(address),
                address=address,
                blocked_at=now,
                everything=said.everything,
                reason=said.reason,
                author=said.author,
                expires_at=said.expires_at,
            )
            for address in addresses
        )
        befores = [before.get(id_of(address), FREE) for address in addresses]
        _record("block", addresses, befores, BLOCKED, said.reason, said.author)


def _unblock(addresses: Sequence[str], reason: str, actor: str) -> list[str]:
    with database.short_transaction() as connection:
        change_generation(connection)
        before = _taken(addresses)
        _blocks().filter(id__in=before).delete()
        freed = [address for address in addresses if id_of(address) in before]
        befores = [before[id_of(address)] for address in freed]
        _record("unblock", freed, befores, FREE, reason, actor)
    return freed


def _record(
    action: str,
    addresses: Sequence[str],
    before: Sequence[str],
    after: str,
    reason: str,
    actor: str,
) -> None:
    """An event for each address: who asks why one gets nothing finds it by its name."""
    now = clock.now(database.connection())
    Event.objects.using(database.alias()).bulk_create(
        Event(
            at=now,
            actor=actor,
            action=action,
            subject=address[:200],
            before=was[:200],
            after=after,
            count=1,
            reason=reason[:500],
        )
        for address, was in zip(addresses, before, strict=True)
    )


def _taken(addresses: Sequence[str]) -> dict[UUID, str]:
    """Return, by id, how the addresses that are blocked already were blocked."""
    found = _blocks().filter(id__in=[id_of(address) for address in addresses])
    return {
        key: f"{BLOCKED} by {author}: {reason}"
        for key, author, reason in found.values_list("id", "author", "reason")
    }


def _checked(addresses: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(_address, addresses)))


def _address(written: str) -> str:
    # Two addresses in one text would be read as a third that nobody has.
    bare = written.rpartition("<")[2].strip(" >")
    address = normalised(written)
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or any(char.isspace() for char in bare):
        raise NotAllowed(f"{written!r} is no address; write one such as ann@example.com.")
    return address


def _blocks() -> QuerySet[BlockedAddress, BlockedAddress]:
    return BlockedAddress.objects.using(database.alias())
