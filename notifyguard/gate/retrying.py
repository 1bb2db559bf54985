"""What failed for now: kept for another try, if its type says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from notifyguard import clock, database, ledger, switchboard
from notifyguard.channels import email
from notifyguard.conf import MOST_ATTEMPTS, Retries
from notifyguard.database import Standing
from notifyguard.decision import State
from notifyguard.exceptions import CannotFreeze
from notifyguard.gate import late
from notifyguard.gate.case import Case
from notifyguard.hold import Frozen
from notifyguard.ledger import Entry, queue, retries
from notifyguard.ledger.retries import RULE

_OF_KEPT = Retries(attempts=MOST_ATTEMPTS)
"""For what was kept and leaves by itself: nobody is told of its failure, and to fail would drop
its text because a mail server restarts. Its ``max_age``, a day, holds it before it is given up."""


def keep(case: Case, entries: Sequence[Entry], detail: str) -> list[Entry]:
    """Queue entries again that failed for now; a sweeper tries them when the time comes.

    Only for proven failures: what may have left is never tried again.

    Args:
        case: their message.
        entries: not accepted, for a reason that may pass by itself.
        detail: what the server said, for a person.

    Returns:
        Those that will be tried again; the others have failed.

    Raises:
        StaleBoard: a switch was set meanwhile, and a new row was not written.
    """
    policy = _policy(case, entries)
    if policy is None or not entries:
        return []
    again = [entry for entry in entries if entry.retries < policy.attempts]
    retries.say_given_up(
        [entry for entry in entries if entry not in again and entry.state is not State.UNCERTAIN],
        RULE,
    )
    kept: list[Entry] = []
    if again:
        with late.logged("keep a message for another try"):
            kept = _keep(case, again, policy, detail)
    if kept:
        case.returned = case.returned or 1
    return kept


def stay_uncertain(entries: Sequence[Entry], detail: str) -> list[Entry]:
    """Leave uncertain what may have left at an earlier try; return it.

    That this try failed before anything was handed over says nothing about that one.
    """
    doubtful = [entry for entry in entries if entry.doubtful]
    for entry in doubtful:
        entry.reason = detail
        retries.make_doubtful(entry)
        with late.logged("record a failure"):
            queue.put_back([entry], rule=entry.rule, reason=entry.reason, state=entry.state)
    return doubtful


def will_be_resent(entry: Entry) -> bool:
    """Tell whether the sweeper sends it again although it may have left."""
    if entry.state is not State.UNCERTAIN or not entry.frozen:
        return False
    return retries.resend_at(entry.type, entry.rule, entry.retries) < clock.never()


def _policy(case: Case, entries: Sequence[Entry]) -> Retries | None:
    policy = case.settings.for_type(case.dispatch.notification.type).retries
    if policy is None and any(entry.doubtful for entry in entries):
        return retries.RESENDS
    if policy is None and not case.caller_waits:
        return _OF_KEPT
    return policy


def _keep(case: Case, entries: list[Entry], policy: Retries, detail: str) -> list[Entry]:
    known = entries[0].frozen
    try:
        frozen = None if known else case.frozen()
    except CannotFreeze as error:
        late.logger.warning("notifyguard: it failed and cannot be tried again: %s", error)
        return []
    is_new = entries[0].state is State.QUEUED and not known
    tried = max(entry.retries for entry in entries) + 1
    seconds = retries.next_try(policy, tried - 1)
    reason = f"Failed for now, tried again {tried} of {policy.attempts} times: {detail}"
    queued = {
        entry: replace(
            entry,
            state=State.QUEUED,
            # What may have left before stays marked as such.
            rule=retries.RESEND if entry.doubtful else RULE,
            reason=email.storable(reason, 500),
            frozen=True,
            retries=tried,
            wakes_at=clock.later(database.connection(), seconds),
        )
        for entry in entries
    }
    written = (_insert if is_new else retries.requeue)(list(queued.values()), frozen)
    kept = [entry for entry in entries if queued[entry] in written]
    for entry in kept:
        entry.state, entry.frozen = State.QUEUED, True
        entry.rule, entry.reason = queued[entry].rule, queued[entry].reason
    late.logger.warning(
        "notifyguard: dispatch %s failed for now, tried again in %d s", case.dispatch.id, seconds
    )
    return kept


def _insert(entries: Sequence[Entry], frozen: Frozen | None) -> Sequence[Entry]:
    """Write rows that there are none of yet: it failed before its keys were taken."""
    if database.standing() is Standing.CALLER:
        ledger.note(entries, frozen)
        return entries
    return ledger.record(entries, switchboard.board().generation, frozen)
