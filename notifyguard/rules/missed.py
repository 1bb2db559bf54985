"""What was scheduled and comes late, because nobody was there to deliver it when it was due."""

from __future__ import annotations

from notifyguard import clock, database
from notifyguard.decision import Decision, Sending, State
from notifyguard.ledger import schedule
from notifyguard.ledger.looks.story import moment
from notifyguard.rules.base import Candidate


def missed(candidate: Candidate) -> Decision | None:
    """Stop what its type says of messages that come over ten minutes after they were due.

    ``on_missed``: ``"send"`` stops nothing; ``"hold"`` keeps them for a person;
    ``"latest"`` lets the last of each recipient leave and ends those before it.
    """
    policy = candidate.settings.for_type(candidate.type).on_missed
    if policy == "send" or not candidate.scheduled or candidate.due_at is None:
        return None
    if clock.now(database.connection()) - candidate.due_at <= schedule.MISSED_AFTER:
        return None
    due = moment(candidate.due_at)
    if policy == "hold":
        return Decision(Sending.HOLD, "missed", f"It was due at {due} and was missed.")
    if not schedule.is_overtaken(
        candidate.type, candidate.recipient, candidate.due_at, candidate.dispatch.id
    ):
        return None
    reason = f"It was due at {due} and was missed; a later one to the same recipient is due."
    return Decision(Sending.DISCARD, "missed", reason, ends_as=State.EXPIRED)
