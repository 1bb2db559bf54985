"""The running code says that it notifies nobody, or what enqueued it said so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifyguard import context
from notifyguard.context import Suppression
from notifyguard.decision import Decision, Sending
from notifyguard.ledger.alerts import ALERTS
from notifyguard.rules.base import Candidate

NAME = "suppressed"
ADMINS = "django.admins"


def suppressed(candidate: Candidate) -> Decision | None:
    """Discard without a body, the key left free so that the inform step may use it.

    What is only in doubt is held: nobody can say whether it was meant.
    """
    found = [
        each
        for each in context.suppressions_of(candidate.type)
        # Whoever migrates wants to hear that it failed.
        if not (each.automatic and candidate.type in (ADMINS, ALERTS))
    ]
    if not found:
        return None
    longest = candidate.settings.celery.carried_suppression
    certain = [each for each in found if not _in_doubt(each, longest)]
    if not certain:
        return _held(_decisive(found), longest)
    suppression = _decisive(certain)
    return Decision(
        Sending.DISCARD,
        rule=NAME,
        reason=suppression.reason,
        by_person=not suppression.automatic,
        takes_key=False,
        keeps_body=False,
    )


def _decisive(found: list[Suppression]) -> Suppression:
    """Return the innermost that somebody said: what is automatic is obeyed less."""
    return next((each for each in found if not each.automatic), found[0])


def _in_doubt(suppression: Suppression, longest: timedelta | None) -> bool:
    if suppression.in_doubt or suppression.since is None or longest is None:
        return suppression.in_doubt
    return datetime.now(UTC) - suppression.since > longest


def _held(suppression: Suppression, longest: timedelta | None) -> Decision:
    reason = suppression.reason
    if suppression.since and longest and not suppression.in_doubt:
        # A task that enqueues itself would else be silent for ever, without a word.
        reason = (
            f"Suppressed since {suppression.since:%Y-%m-%d} ({reason}), and carried from task to "
            f"task for more than {longest.total_seconds() / 86_400:g} days (carried_suppression)."
        )
    return Decision(Sending.HOLD, rule=NAME, reason=reason, by_person=not suppression.automatic)
