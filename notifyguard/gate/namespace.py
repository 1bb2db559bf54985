"""The namespace that enters the keys of a message."""

from __future__ import annotations

from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.decision import Decision, Sending
from notifyguard.exceptions import InvalidSettings


def of(dispatch: Dispatch, settings: Settings) -> tuple[str | None, Decision | None]:
    """Return the namespace of a message's keys, or what is decided when it cannot be told."""
    if dispatch.notification.key is None:
        return None, None
    try:
        return settings.current_namespace(), None
    except InvalidSettings as error:
        # Under a guessed namespace a key that is taken would be free.
        critical = settings.for_type(dispatch.notification.type).critical
        held = Decision(Sending.HOLD, "namespace", str(error), takes_key=False)
        return None, None if critical else held
