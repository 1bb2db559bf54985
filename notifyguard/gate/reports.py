"""What a rule objects to and leaves all the same: the ledger says so, and once the log."""

from __future__ import annotations

import logging

from notifyguard.channels import email
from notifyguard.conf import Settings
from notifyguard.decision import Decision, Sending
from notifyguard.ledger import Entry

logger = logging.getLogger("notifyguard")

_said: set[tuple[str, str]] = set()


def stops(decision: Decision, settings: Settings) -> bool:
    """Tell whether a decision stops anything under these settings."""
    if decision.sending is Sending.OPEN:
        return False
    return decision.by_person or settings.mode != "observe"


def is_only_reported(decision: Decision, entry: Entry, settings: Settings) -> bool:
    """Tell whether a decision stops nothing; write on the entry what it says then."""
    if stops(decision, settings):
        return False
    if decision.sending is Sending.OPEN:
        entry.rule, reason = email.storable(decision.rule, 50), decision.reason
        _say_once(entry)
    else:
        entry.rule = email.storable(f"observed {decision.rule}", 50)
        reason = f"Would have been stopped: {decision.reason}"
    entry.reason = email.storable(reason, 500)
    return True


def _say_once(entry: Entry) -> None:
    """Log the first report of a type and rule; the ledger holds every one."""
    if (entry.type, entry.rule) not in _said:
        _said.add((entry.type, entry.rule))
        logger.warning(
            "notifyguard: mail of type %s leaves although the rule %s objects: see dispatch %s",
            *(entry.type, entry.rule, entry.dispatch),
        )
