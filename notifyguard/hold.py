"""Where messages are kept: frozen, in our own tables, until they leave or are let go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifyguard import caps, database
from notifyguard.models import FrozenContent, FrozenMessage


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
    return Frozen(json.loads(message.payload), blobs, message.key, message.type)


def dispatches(key: UUID) -> list[UUID]:
    """Return the dispatches of the messages that are kept under this key, whoever they go to."""
    kept = FrozenMessage.objects.using(database.alias()).filter(key=key)
    return list(kept.values_list("dispatch", flat=True))
