"""One delivery as the gate works on it, with its identity and its key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from notifyguard.decision import State


def new_id() -> UUID:
    """Return a time-ordered random UUID (RFC 9562, version 7, method 3): index pages stay warm."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    return UUID(
        int=(milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | fraction << 64
        | 0b10 << 62
        | secrets.randbits(62)
    )


def first_id_at(at: datetime) -> UUID:
    """Return the lowest id that a host could make at this time, by its own clock.

    Args:
        at: with a time zone, or in the present one.
    """
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | 0b10 << 62)


def key_of(salt: str, *parts: str, inferred: bool = False) -> UUID:
    """Return the ledger's key for a namespace, type, recipient and idempotency key.

    HMAC-SHA256 over the length-prefixed parts, so that no two lists of parts
    read the same; cut to 128 bits and given the form of a version 5 UUID, since
    MariaDB's ``uuid`` type refuses a quarter of all random values. An inferred key has that
    of version 3, so that rows and claims tell, however much later, that nobody gave it.

    Args:
        salt: the ledger's own, as hexadecimal digits.
        parts: the texts that make the key this one.
        inferred: from the task that sends; nobody gave it.
    """
    mac = hmac.new(bytes.fromhex(salt), digestmod=hashlib.sha256)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        mac.update(len(encoded).to_bytes(8, "big"))
        mac.update(encoded)
    return UUID(bytes=mac.digest()[:16], version=_INFERRED if inferred else 5)


def is_inferred(key: UUID | None) -> bool:
    """Tell whether a key was inferred from the task that sent the message."""
    return key is not None and key.version == _INFERRED


_INFERRED = 3


@dataclass(slots=True, eq=False)
class Entry:
    """A delivery on its way through the gate.

    Attributes:
        dispatch: the message it belongs to.
        type: its notification type.
        recipient: the envelope address, normalised.
        key: its place among the claims, or ``None`` for a message without a key.
        takes_key: its key is taken while it stands. What is discarded may leave it free,
            and takes it when that is undone.
        fingerprint: of the content, where a conflict must be told from a duplicate, and of
            what is kept.
        supersedes: shared with those of which only the last is released.
        id: its row.
        attempt: the fencing counter; another process that takes over raises it.
        frozen: the message is kept, so that somebody else could send it.
        wakes_at: when the sweeper may have it, if it is queued for a time to come.
        due_at: when it was meant to leave; ``None`` for when its row was written.
        max_age: how long after that it may still leave, if its message says so.
        scheduled: its message said when to leave, before that time.
        retries: how often it was queued again to be tried again.
        doubtful: it is sent again, and an earlier hand-over may have left.
        transient: it has failed, and what failed may pass by itself.
    """

    dispatch: UUID
    type: str
    recipient: str
    key: UUID | None = None
    fingerprint: UUID | None = None
    origin: str = ""
    call_site: str = ""
    task_id: str = ""
    backend: str = ""
    subject: str = ""
    message_id: str = ""
    id: UUID = field(default_factory=new_id)
    attempt: int = 1
    state: State = State.QUEUED
    rule: str = ""
    reason: str = ""
    frozen: bool = False
    wakes_at: datetime | None = None
    due_at: datetime | None = None
    max_age: timedelta | None = None
    scheduled: bool = False
    retries: int = 0
    doubtful: bool = False
    transient: bool = False
    takes_key: bool = True
    supersedes: UUID | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A key that somebody holds: by which delivery, and with what content."""

    delivery: UUID
    fingerprint: UUID | None
