"""The keys of a message: what makes it this one, and what it supersedes."""

from __future__ import annotations

from uuid import UUID

from notifyguard import ledger
from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.decision import Decision, Sending
from notifyguard.exceptions import InvalidSettings
from notifyguard.gate.inferred import Places, task_of
from notifyguard.switchboard import Board


def namespace(dispatch: Dispatch, settings: Settings) -> tuple[str | None, Decision | None]:
    """Return the namespace of a message's keys, or what is decided when it cannot be told."""
    notification = dispatch.notification
    if notification.key is None and notification.supersedes is None and not task_of(dispatch):
        return None, None
    try:
        return settings.current_namespace(), None
    except InvalidSettings as error:
        # Under a guessed namespace a key that is taken would be free.
        critical = settings.for_type(notification.type).critical
        held = Decision(Sending.HOLD, "namespace", str(error), takes_key=False)
        return None, None if critical else held


def key(dispatch: Dispatch, space: str | None, board: Board, *whom: str) -> UUID | None:
    """Return the key that a message was given, to somebody or whoever it goes to."""
    notification = dispatch.notification
    if notification.key is None or space is None or not board.salt:
        return None
    return ledger.key_of(board.salt, space, notification.type, *whom, notification.key)


def delivery_key(
    dispatch: Dispatch, space: str | None, board: Board, recipient: str, places: Places
) -> UUID | None:
    """Return the key of a message to somebody: given or inferred; ``None`` without one."""
    if space is None or not board.salt:
        return None
    given = key(dispatch, space, board, recipient)
    return given or places.key(board.salt, space, recipient)


def supersedes(dispatch: Dispatch, space: str | None, board: Board, whom: str) -> UUID | None:
    """Return what a message shares with those that it supersedes, or is superseded by."""
    notification = dispatch.notification
    if notification.supersedes is None or space is None or not board.salt:
        return None
    shared = space, notification.type, whom, notification.supersedes
    return ledger.key_of(board.salt, "supersedes", *shared)
