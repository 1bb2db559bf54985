"""Room for what would be held: past the caps of its type it is discarded, with a record."""

from __future__ import annotations

from collections.abc import Iterable

from notifyguard import caps
from notifyguard.decision import Decision, Sending
from notifyguard.gate.case import Case


def keep_within(case: Case) -> None:
    """Discard what would be kept past the caps of its type; never of a critical one.

    Its body is what has no room, so it is not kept, and cannot be had back. So its key
    is left free: whoever sends it again once there is room has it sent.

    Args:
        case: judged; what is set aside is not recorded yet.
    """
    type = case.dispatch.notification.type
    options = case.settings.for_type(type)
    kept = {each: entries for each, entries in case.aside.items() if each.keeps_body}
    if not kept or case.kept or options.critical:
        return
    if full := caps.exceeded(type, options):
        for decision, entries in kept.items():
            case.set_aside(_past(full, decision), entries)


def types_without(cases: Iterable[Case]) -> set[str]:
    """Return the types of messages that there was no room for."""
    return {
        case.dispatch.notification.type
        for case in cases
        if any(outcome.rule == caps.RULE for outcome in case.outcomes.values())
    }


def _past(full: str, decision: Decision) -> Decision:
    meant = "discarded" if decision.sending is Sending.DISCARD else "held"
    reason = f"{full}. It would have been {meant} by {decision.rule}: {decision.reason}"
    return Decision(
        Sending.DISCARD, caps.RULE, reason, by_person=True, takes_key=False, keeps_body=False
    )
