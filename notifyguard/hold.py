"""Where messages are kept: frozen, in our own tables, until they leave or are let go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifyguard import caps, database
from notifyguard.models import FrozenContent, FrozenMessage

PORTION = 16 * 1024 * 1024
"""Bytes of messages that are fetched at a time, but for one that is larger by itself."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A message as data.

    Attributes:
        payload: its parts, as JSON can hold them.
        blobs: its binary contents by SHA-256 in hexadecimal digits.
        key: of the message, whoever it goes to, if it has one.
        type: its notification type.
    """

    payload: dict[str, Any]
    blobs: Mapping[str, bytes]
    key: UUID | None = None
    type: str = ""


def keep(dispatch: UUID, frozen: Frozen, at: datetime) -> None:
    """Store a message, in the transaction of the rows that wait for it."""
    alias = database.alias()
    payload = json.dumps(frozen.payload, ensure_ascii=True, separators=(",", ":"))
    size = len(payload) + sum(map(len, frozen.blobs.values()))
    FrozenMessage.objects.using(alias).create(
        dispatch=dispatch,
        key=frozen.key,
        type=frozen.type,
        payload=payload,
        size=size,
        frozen_at=at,
    )
    caps.added(frozen.type, size)
    if frozen.blobs:
        FrozenContent.objects.using(alias).bulk_create(
            FrozenContent(dispatch=dispatch, digest=digest, content=content)
            for digest, content in frozen.blobs.items()
        )


def keep_once(dispatch: UUID, frozen: Frozen, at: datetime) -> None:
    """Store a message unless it is there already, for another of its recipients."""
    if not has(dispatch):
        keep(dispatch, frozen, at)


def has(dispatch: UUID) -> bool:
    """Tell whether a message is kept for a dispatch."""
    return FrozenMessage.objects.using(database.alias()).filter(dispatch=dispatch).exists()


def fetch(dispatch: UUID) -> Frozen | None:
    """Return the message that is kept for a dispatch, or ``None`` if it is gone."""
    alias = database.alias()
    message = FrozenMessage.objects.using(alias).filter(dispatch=dispatch).first()
    if message is None:
        return None
    contents = FrozenContent.objects.using(alias).filter(dispatch=dispatch)
    blobs = {content.digest: bytes(content.content) for content in contents}
    return _frozen(message, blobs)


def fetch_each(dispatches: Sequence[UUID]) -> Iterator[dict[UUID, Frozen | None]]:
    """Yield what is kept for many dispatches, so many of them at a time as memory is meant for.

    Args:
        dispatches: none twice.

    Yields:
        As ``fetch``, by dispatch, in the order asked for.
    """
    alias = database.alias()
    among = FrozenMessage.objects.using(alias).filter(dispatch__in=dispatches)
    found = {message.dispatch: message for message in among}
    for portion in _portions(dispatches, found):
        blobs: dict[UUID, dict[str, bytes]] = {dispatch: {} for dispatch in portion}
        for content in FrozenContent.objects.using(alias).filter(dispatch__in=portion):
            blobs[content.dispatch][content.digest] = bytes(content.content)
        yield {
            dispatch: _frozen(found[dispatch], blobs[dispatch]) if dispatch in found else None
            for dispatch in portion
        }


def dispatches(key: UUID) -> list[UUID]:
    """Return the dispatches of the messages that are kept under this key, whoever they go to."""
    kept = FrozenMessage.objects.using(database.alias()).filter(key=key)
    return list(kept.values_list("dispatch", flat=True))


def _frozen(message: FrozenMessage, blobs: Mapping[str, bytes]) -> Frozen:
    try:
        payload = json.loads(message.payload)
    except ValueError:
        payload = {"v": "damaged"}  # thaw() says so of this one; those fetched with it are fine
    return Frozen(payload, blobs, message.key, message.type)


def _portions(
    dispatches: Sequence[UUID], found: Mapping[UUID, FrozenMessage]
) -> Iterator[list[UUID]]:
    portion: list[UUID] = []
    bytes_left = PORTION
    for dispatch in dispatches:
        size = found[dispatch].size if dispatch in found else 0
        if portion and size > bytes_left:
            yield portion
            portion, bytes_left = [], PORTION
        portion.append(dispatch)
        bytes_left -= size
    if portion:
        yield portion
