"""A message with a placeholder in it: a template that was sent and not rendered."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate


def unrendered(candidate: Candidate) -> Decision | None:
    """Stop what still holds ``{{ name }}``, ``{% tag %}`` or ``%(name)s``."""
    where = candidate.dispatch.content.leftover
    if not where:
        return None
    reason = f"Something in {where} looks like a placeholder that was not rendered."
    return Decision(Sending.HOLD, "unrendered", reason)
