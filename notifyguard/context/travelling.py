"""What travels with work that is done elsewhere: written where it is queued, read where it is done.

JSON text with the suppressions, the notification, where the work began and when it is due.
Times are seconds since 1970. Releases before and after this one read what they know. What
cannot be read at all, or is of a version that changed its meaning, is taken for suppressed,
and what it sends is held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from notifyguard.context.ambient import Ambient, Suppression
from notifyguard.notification import Notification, notification_of

UNREADABLE = "What was said where it was queued cannot be read: it may have been suppressed."
# Written once it is more than 1: when what is written so far begins to mean something else.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Said:
    """What was said where work was queued.

    Attributes:
        suppressions: outermost first.
        notification: of what it sends.
        origin: where the work began; "" if unknown.
        due_at: when it is meant to be done.
        behind: the late tasks that led to it, by name, the first one first.
    """

    suppressions: tuple[Suppression, ...] = ()
    notification: Notification | None = None
    origin: str = ""
    due_at: datetime | None = None
    behind: tuple[str, ...] = ()


IN_DOUBT = Said((Suppression("*", UNREADABLE, in_doubt=True),))
"""Nobody knows what was said."""


def said_by(ambient: Ambient, origin: str, now: datetime) -> Said:
    """Return what the running code says of the work that it queues."""
    travelling = (replace(each, since=each.since or now) for each in ambient.suppressions)
    return Said(_once(travelling), ambient.notification, origin)


def joined(carried: Said, here: Said) -> Said:
    """Return what holds for work that carries something already.

    A retry and a signature that was published before keep what was said of them; what is
    said where they are published now is added to it.
    """
    return replace(
        here,
        suppressions=_once((*carried.suppressions, *here.suppressions)),
        notification=carried.notification or here.notification,
        origin=carried.origin or here.origin,
    )


def written(said: Said) -> str:
    """Return it as text, in plain ASCII."""
    parts = {
        "suppressed": [_suppression_written(each) for each in said.suppressions],
        "notification": said.notification and _notification_written(said.notification),
        "origin": said.origin,
        "due": said.due_at and said.due_at.timestamp(),
        "behind": said.behind,
    }
    return json.dumps({name: part for name, part in parts.items() if part})


def read(text: object) -> Said:
    """Return what a text says.

    Args:
        text: as it was written; ``None`` where there is none, which says nothing.
    """
    if text is None:
        return Said()
    try:
        return _read(json.loads(str(text)))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        OSError,
        RecursionError,
    ):
        # Any of them: this is input, and no work must break because of it.
        return IN_DOUBT


def _read(parts: dict[str, Any]) -> Said:
    if parts.get("version", VERSION) != VERSION:
        raise ValueError(f"written in version {parts['version']}")
    notification, due = parts.get("notification"), parts.get("due")
    return Said(
        tuple(_suppression_read(each) for each in parts.get("suppressed", ())),
        None if notification is None else _notification_read(notification),
        str(parts.get("origin", "")),
        None if due is None else _time(due),
        tuple(str(name) for name in parts.get("behind", ())),
    )


def _once(suppressions: Iterable[Suppression]) -> tuple[Suppression, ...]:
    """Return each once, since a task that enqueues itself says the same again and again.

    At its last place, which decides as all of them did, and with its earliest time.
    """
    found: dict[Suppression, Suppression] = {}
    for each in suppressions:
        meant = replace(each, since=None)
        earlier = found.pop(meant, each)
        found[meant] = min(earlier, each, key=lambda one: one.since or _EARLIEST)
    return tuple(found.values())


_EARLIEST = datetime.min.replace(tzinfo=UTC)


def _suppression_written(each: Suppression) -> dict[str, Any]:
    parts = {
        "pattern": each.pattern,
        "reason": each.reason,
        "since": each.since and each.since.timestamp(),
        "lifted": each.lifted,
        "automatic": each.automatic,
        "in_doubt": each.in_doubt,
    }
    return {name: part for name, part in parts.items() if part}


def _suppression_read(parts: dict[str, Any]) -> Suppression:
    return Suppression(
        str(parts["pattern"]),
        str(parts["reason"]),
        lifted=bool(parts.get("lifted")),
        automatic=bool(parts.get("automatic")),
        since=_time(parts.get("since", 0)),
        in_doubt=bool(parts.get("in_doubt")),
    )


def _notification_written(said: Notification) -> dict[str, Any]:
    parts = {
        "type": said.type,
        "key": said.key,
        "max_age": said.max_age and said.max_age.total_seconds(),
        "send_at": said.send_at and said.send_at.timestamp(),
        "supersedes": said.supersedes,
    }
    return {name: part for name, part in parts.items() if part is not None}


def _notification_read(parts: dict[str, Any]) -> Notification:
    max_age, send_at = parts.get("max_age"), parts.get("send_at")
    return notification_of(
        parts["type"],
        parts.get("key"),
        None if max_age is None else timedelta(seconds=max_age),
        None if send_at is None else _time(send_at),
        parts.get("supersedes"),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
