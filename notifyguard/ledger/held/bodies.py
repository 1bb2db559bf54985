"""What a message says, for a person who must judge it: its text is on record before it is shown."""

from __future__ import annotations

from notifyguard import conf, database, hold, switchboard
from notifyguard.actor import Actor, Permission
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Delivery

REDACTED = (
    "The text of critical types is shown to nobody: it holds links and codes that open accounts."
)


def is_redacted(type: str) -> bool:
    """Tell whether nobody is shown what messages of a type say."""
    return conf.current().for_type(type).critical


def title(type: str, subject: str) -> str:
    """Return what a message is called before people: by its subject, if that may be shown.

    Login codes stand in subjects more often than not.
    """
    return f"A message of type {type}" if is_redacted(type) or not subject else subject


def read(delivery: Delivery, part: str, *, actor: Actor) -> hold.Frozen:
    """Return the message that is kept for a delivery; that it was read is an event.

    The event is committed first, so that nothing is seen of which there is no record.

    Args:
        delivery: its row.
        part: what of it is to be shown; for the event.
        actor: who.

    Raises:
        NotAllowed: the permission is missing, its type is critical, or it is not kept
            any more.
    """
    actor.must_have(Permission.READ_BODY)
    if is_redacted(delivery.type):
        raise NotAllowed(REDACTED)
    if not hold.has(delivery.dispatch):
        raise NotAllowed("The text is not kept any more.")

    def write() -> None:
        with database.short_transaction():
            switchboard.record_event(
                "read_body", str(delivery.id), actor=actor.name, after=part[:200]
            )

    database.retrying(write)
    frozen = hold.fetch(delivery.dispatch)
    if frozen is None:  # it left meanwhile
        raise NotAllowed("The text is not kept any more.")
    return frozen
