"""A project's own rule, for tests."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending


def hold_bob(candidate):
    """Hold what goes to one person and no other."""
    if candidate.recipient.startswith("bob@"):
        return Decision(Sending.HOLD, "bob", "It is for Bob.")
    return None
