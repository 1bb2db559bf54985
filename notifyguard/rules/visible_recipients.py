"""A message that shows its recipients to one another: a mailing list put into To or Cc."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate

MOST = 50
"""Addresses that one message may show in To and Cc together."""


def visible_recipients(candidate: Candidate) -> Decision | None:
    """Hold what shows more than 50 addresses. Bcc is not shown, so it is not counted."""
    shown = candidate.dispatch.content.visible_recipients
    if shown <= MOST:
        return None
    reason = f"Each recipient would read {shown} addresses in To and Cc; {MOST} are usual at most."
    return Decision(Sending.HOLD, "visible_recipients", reason)
