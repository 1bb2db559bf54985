"""A message that says nothing: a template that rendered to nothing, a status changed too early."""

from __future__ import annotations

from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate


def blank(candidate: Candidate) -> Decision | None:
    """Hold what has neither subject nor body, nor a template or attachment in its place."""
    content = candidate.dispatch.content
    if content.subject_is_blank and content.body_is_blank:
        return Decision(Sending.HOLD, "blank", "Its subject and its body are blank.")
    return None


def empty_body(candidate: Candidate) -> Decision | None:
    """Stop what has a subject and no body; some mail is meant so, newsletters are not."""
    content = candidate.dispatch.content
    if content.body_is_blank and not content.subject_is_blank:
        return Decision(Sending.HOLD, "empty_body", "It has a subject, but its body is blank.")
    return None
