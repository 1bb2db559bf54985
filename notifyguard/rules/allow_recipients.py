"""The fence of a staging site: ``ALLOW_RECIPIENTS`` names who may be written to."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending
from notifyguard.patterns import matches
from notifyguard.rules.base import Candidate

# What a provider's API would read as another address, or as several.
_AMBIGUOUS = frozenset(" \t,;:<>()[]\"'\\")

_OUTSIDE = Decision(
    Sending.HOLD,
    rule="allow_recipients",
    reason="The recipient is not in ALLOW_RECIPIENTS.",
    by_person=True,
)


def allow_recipients(candidate: Candidate) -> Decision | None:
    """Hold what goes to anybody else, critical mail too, in To, Cc and Bcc alike."""
    allowed = candidate.settings.allow_recipients
    if allowed is None or _is_allowed(candidate.recipient, allowed):
        return None
    return _OUTSIDE


def _is_allowed(recipient: str, allowed: tuple[str, ...]) -> bool:
    if recipient.count("@") != 1 or set(recipient) & _AMBIGUOUS:
        return False
    return any(matches(pattern, recipient) for pattern in allowed)
