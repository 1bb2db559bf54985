"""A new entry of the ledger: one message, and one of those whom it goes to."""

from __future__ import annotations

from uuid import UUID

from notifyguard.channels.email import Dispatch
from notifyguard.ledger import Entry


def new_entry(
    dispatch: Dispatch, recipient: str, content: UUID | None, *, scheduled: bool = False
) -> Entry:
    """Return an entry that nothing was decided on, without a key.

    Args:
        dispatch: the message.
        recipient: normalised.
        content: its fingerprint, if it must be known.
        scheduled: it leaves when its message says, and not now.
    """
    notification = dispatch.notification
    return Entry(
        dispatch=dispatch.id,
        type=notification.type,
        recipient=recipient,
        fingerprint=content,
        origin=dispatch.origin,
        call_site=dispatch.call_site,
        task_id=dispatch.task_id,
        backend=dispatch.backend,
        subject=dispatch.subject,
        due_at=notification.due_at,
        max_age=notification.max_age,
        scheduled=scheduled,
        wakes_at=notification.due_at if scheduled else None,
    )
