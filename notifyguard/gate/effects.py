"""A side effect by which somebody is notified, other than mail, takes the way of a message.

    decide     may it be done: suppressed, switches, blocked, too late, limits
    claim      take its key, so that nobody else does it
    mark       commit the point of no return: nothing of it has been done
    do         call the function
    confirm    write down what came of it

There is no message that could be kept. What a switch or a limit holds, the caller tries again
later; what is held for a person has failed, and its key is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Generic, TypeVar

from django.db import Error as DatabaseFailure

from notifyguard import conf, database, ledger, switchboard
from notifyguard.channels import email
from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.database import Standing
from notifyguard.decision import Decision, Sending, State
from notifyguard.exceptions import InTransaction, LedgerUnavailable, Stopped
from notifyguard.gate import blocking, failures, keys, late, light, loop, quota
from notifyguard.gate.case import Case
from notifyguard.gate.entries import new_entry
from notifyguard.gate.once import drop_taken
from notifyguard.gate.stopped import failed, stop
from notifyguard.ledger import Entry, StaleBoard
from notifyguard.rules import decide_unseen
from notifyguard.switchboard import Board

R = TypeVar("R")

FOR_NOW = ("switch", "limit")
"""Rules whose hold ends without a person's word on this very side effect."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What came of a side effect.

    Attributes:
        state: ``sent`` if it was done; ``held`` if it is to be tried again later, and
            nothing was written.
        value: what the function returned; ``None`` where it was not called.
        reason: in words, why it was not.
    """

    state: State
    value: R | None = None
    reason: str = ""


def once(
    effect: Dispatch, work: Callable[[], R], proves: Callable[[BaseException], bool]
) -> Outcome[R]:
    """Do it, unless it was done or may have been, or must not be.

    Args:
        effect: what is about to be done, for one recipient.
        work: does it.
        proves: whether what ``work`` raised is proof that nothing has left.

    Raises:
        BaseException: what ``work`` raises; the ledger says ``failed`` or ``uncertain``.
        InTransaction: the caller's transaction is open, so that nothing can be committed.
        LedgerUnavailable: the ledger cannot be reached; nothing was done.
        Stopped: it is held for a person; nothing was done.
    """
    settings = conf.current()
    if settings.mode == "bypass":
        return Outcome(State.SENT, work())
    if light.applies(settings):
        return _by_settings(effect, settings) or Outcome(State.SENT, work())
    case = Case(effect, settings)
    try:
        return _begun(case) or Outcome(State.SENT, _done(case, work, proves))
    finally:
        loop.run(partial(_settle, case))


def _by_settings(effect: Dispatch, settings: Settings) -> Outcome[R] | None:
    """Decide without a ledger."""
    if decision := light.stopped(effect, settings):
        return Outcome(decision.state, reason=decision.reason)
    return None


def _begun(case: Case) -> Outcome[R] | None:
    """Commit that it is done now; return what came of it if it is not."""
    try:
        return loop.run(partial(_begin, case))
    except DatabaseFailure as error:
        if failures.tables_are_missing():
            case.passing = []
            return _by_settings(case.dispatch, case.settings)
        raise LedgerUnavailable(f"{_REFUSED} {failures.cause(error)}") from error


def _begin(case: Case) -> Outcome[R] | None:
    if database.standing() is Standing.CALLER:
        raise InTransaction(_INSIDE.format(case.dispatch.notification.type))
    (recipient,) = case.dispatch.recipients
    entry = new_entry(case.dispatch, recipient, None)
    for fresh in chain([False], repeat(True)):
        board = switchboard.board(fresh=fresh)
        decision = _decision(case, entry, board)
        if case.settled:
            return Outcome(State.DUPLICATE, reason=entry.reason)
        if decision and decision.sending is Sending.HOLD:
            if fresh:
                return _held(case, entry, decision)
            continue  # nothing is written that would notice that the hold is over
        if decision:
            stop(entry, replace(decision, keeps_body=False))
        try:
            won = ledger.record([entry], board.generation)
        except StaleBoard:
            continue
        if won and not decision:
            return None
        if won:
            case.settle(won)
            return Outcome(entry.state, reason=entry.reason)
    raise AssertionError("it is repeated until something is decided")


def _decision(case: Case, entry: Entry, board: Board) -> Decision | None:
    """Decide under this board; a key that is taken settles the case."""
    entry.state, entry.rule, entry.reason, entry.takes_key = State.IN_FLIGHT, "", "", True
    case.passing, case.aside = [entry], {}
    space, broken = keys.namespace(case.dispatch, case.settings)
    entry.key = keys.delivery_key(case.dispatch, space, board, entry.recipient, case.places)
    blocking.look([case], board)
    if decision := next(iter(case.stopped_by(decide_unseen, board)), broken):
        return decision
    drop_taken([case], board)
    quota.keep_within([case], board)
    return next(iter(case.aside), None)


def _held(case: Case, entry: Entry, decision: Decision) -> Outcome[R]:
    """Tell who can wait that it is held; for whoever cannot, it has failed."""
    if decision.rule in FOR_NOW:
        return Outcome(State.HELD, reason=decision.reason)
    entry.key = None
    ledger.note(failed([entry], decision.rule, decision.reason))
    case.settle([entry])
    raise Stopped(f"{entry.type} is held by {decision.rule}: {decision.reason} {_NOT_KEPT}")


def _done(case: Case, work: Callable[[], R], proves: Callable[[BaseException], bool]) -> R:
    try:
        value = work()
    except BaseException as error:
        state = State.FAILED if proves(error) else State.UNCERTAIN
        rule = "refused" if state is State.FAILED else "raised"
        _confirm(case, state, rule, f"{type(error).__name__}: {error}")
        raise
    _confirm(case, State.SENT)
    return value


def _confirm(case: Case, state: State, rule: str = "", reason: str = "") -> None:
    """Write what came of it; never in an exception, which would have it done again."""
    for entry in case.passing:
        entry.state, entry.rule = state, rule or entry.rule
        entry.reason = email.storable(reason, 500) or entry.reason
    with late.logged("confirm"):
        loop.run(partial(ledger.confirm, case.passing))
        loop.run(late.record_late)
    case.settle(case.passing)


def _settle(case: Case) -> None:
    quota.settle([case])
    case.places.settle(case.outcomes)


_INSIDE = (
    "{} is guarded and was called inside atomic(): what it is about to do must be committed "
    "first. Call it after the commit: transaction.on_commit(), or delay_on_commit() for a task."
)
_NOT_KEPT = (
    "Nothing was done, and there is no message that could be kept. Run it again once that "
    "has changed."
)
_REFUSED = (
    "Nothing was done, because the ledger's database cannot be written: what is not recorded "
    "could be done twice."
)
