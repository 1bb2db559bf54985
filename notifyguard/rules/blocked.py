"""An address that a person has blocked: it bounced, or its owner wants nothing more."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate

NAME = "blocked"


def blocked(candidate: Candidate) -> Decision | None:
    """Discard what goes to a blocked address; its message is kept and its key left free.

    Mail that a person waits for passes, unless the block is on everything: who asks
    for a password is there to read it, whatever has bounced before.
    """
    block = candidate.block
    if block is None or (candidate.critical and not block.everything):
        return None
    return Decision(Sending.DISCARD, rule=NAME, reason=str(block), by_person=True, takes_key=False)
