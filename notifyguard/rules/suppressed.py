"""The running code says that it notifies nobody."""

from __future__ import annotations

from notifyguard import context
from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate

ADMINS = "django.admins"


def suppressed(candidate: Candidate) -> Decision | None:
    """Discard without a body, the key left free so that the inform step may use it."""
    suppression = context.suppression_of(candidate.type)
    if suppression is None:
        return None
    if suppression.automatic and candidate.type == ADMINS:
        return None  # whoever migrates wants to hear that it failed
    return Decision(
        Sending.DISCARD,
        rule="suppressed",
        reason=suppression.reason,
        by_person=not suppression.automatic,
        takes_key=False,
        keeps_body=False,
    )
