"""The second stop: a message that was judged and comes out of a queue or a thread.

It was counted and recorded when it was judged. Only what a person has set is asked again
(the switches, the blocked addresses, ``ALLOW_RECIPIENTS``), and whether it has left already;
what they stop now is kept, whatever the queue makes of its own row. Then it is marked and
confirmed like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import Error as DatabaseFailure

from notifyguard import alerts, context, outcomes, switchboard
from notifyguard.channels import email, notes, passes
from notifyguard.channels.transport import is_queue, is_silent
from notifyguard.conf import Settings
from notifyguard.decision import Decision, Sending
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import blocking, failures, handover, late
from notifyguard.gate.arrival import Arrival
from notifyguard.gate.returned import combined
from notifyguard.ledger import StaleBoard
from notifyguard.rules import decide_on_people
from notifyguard.switchboard import Board, Ruling


def send(backend: Any, inner: Callable[[Any], Any], batch: list[Any], settings: Settings) -> Any:
    """Hand over what may leave now; judge what has no valid pass, by the note on it."""
    salt = _salt()
    returned = []
    for message in batch:
        given = passes.read(message, salt)
        if given is None:
            returned.append(_judge_anew(backend, inner, message))
        else:
            arrival = Arrival(backend, inner, settings, message, given)
            returned.append(_let_through(arrival))
    return combined(returned)


def _let_through(arrival: Arrival) -> Any:
    """Decide under the present switches; again if they were set meanwhile."""
    step = _pass_on if is_queue(arrival.backend) else _hand_over
    fresh = False
    try:
        while True:
            try:
                return step(arrival, switchboard.board(fresh=fresh))
            except StaleBoard:
                fresh = True
    except DatabaseFailure as error:
        if error is arrival.raised:
            raise  # the backend's own
        return _without_ledger(arrival, error)
    finally:
        arrival.close()
        outcomes.remember(arrival.message, arrival.case.outcomes.values())
        alerts.after_holding(arrival.case.held)


def _pass_on(arrival: Arrival, board: Board) -> Any:
    """Hand the message on to another queue, its pass still on it."""
    if board.generation != switchboard.generation_now():
        raise StaleBoard
    arrival.find()
    if not arrival.case.passing:
        return 0
    if ruling := board.ruling(arrival.given.type, arrival.settings):
        return _keep(arrival, ruling, board)
    with handover.of(arrival.message):
        return arrival.inner([arrival.message])


def _hand_over(arrival: Arrival, board: Board) -> Any:
    """Mark, hand over to the mail server and confirm."""
    case = arrival.case
    with passes.taken_off([arrival.message]):
        added = arrival.find()
        if case.passing and (ruling := board.ruling(arrival.given.type, arrival.settings)):
            _keep(arrival, ruling, board)
        elif arrival.is_forgotten:
            arrival.keep(_FORGOTTEN, case.passing, board)
        if case.passing:
            _keep_from_people(arrival, board)
        if case.passing and arrival.prepare(case):
            marked = arrival.mark(board)
            lost = [entry for entry in case.passing if entry not in marked]
            arrival.leave_out(lost)
            if case.passing and (not lost or arrival.prepare(case)):
                arrival.confirm(arrival.deliver(case))
        return combined([case.returned, *_send_to_added(arrival, added)])


def _keep(arrival: Arrival, ruling: Ruling, board: Board) -> int:
    decision = Decision(ruling.sending, "switch", str(ruling), by_person=True)
    arrival.keep(decision, arrival.case.passing, board)
    return 0


def _keep_from_people(arrival: Arrival, board: Board) -> None:
    """Keep what is for people who may not be written to: blocked, or beyond a staging site."""
    case = arrival.case
    blocking.look([case], board)
    for decision, entries in case.stopped_by(decide_on_people, board).items():
        arrival.keep(decision, entries, board)


def _send_to_added(arrival: Arrival, added: Sequence[str]) -> list[Any]:
    """Judge the message for those whom the queue itself has added: nobody has, so far."""
    if not added:
        return []
    message = arrival.message
    if set(added) != set(arrival.case.dispatch.recipients):
        message = email.reduced(message, arrival.case.written(added))
    with context.notification(arrival.given.type):
        return [_judge_anew(arrival.backend, arrival.inner, message)]


def _judge_anew(backend: Any, inner: Callable[[Any], Any], message: Any) -> Any:
    from notifyguard import gate  # it starts at the beginning

    with notes.obeyed(message), passes.taken_off([message]):
        return gate.send_messages(backend, inner, [message])


def _without_ledger(arrival: Arrival, error: DatabaseFailure) -> Any:
    """Decide on a message whose mark cannot be written: it may have left before.

    Whoever brought it still has it, and is told that it was not sent.
    """
    options = arrival.settings.for_type(arrival.given.type)
    missing = failures.tables_are_missing()
    urgent = missing or options.critical or options.in_transaction == "now"
    arrival.case.passing = arrival.own_entries()
    if urgent and not _is_stopped_unmarked(arrival):
        return _send_unmarked(arrival, remember=not missing)
    if is_silent(arrival.backend):
        late.logger.error("notifyguard: %s (%s)", _REFUSED, type(error).__name__)
        return 0
    raise LedgerUnavailable(f"{_REFUSED} {failures.cause(error)}") from error


def _is_stopped_unmarked(arrival: Arrival) -> bool:
    """Tell whether a person's word, as far as it is known, stops it for anybody.

    For all then: what the queue counts as sent it does not try again for the others.
    """
    board = switchboard.last_known()
    if board.ruling(arrival.given.type, arrival.settings):
        return True
    return bool(arrival.case.stopped_by(decide_on_people, board))


def _send_unmarked(arrival: Arrival, *, remember: bool) -> Any:
    case = arrival.case
    with passes.taken_off([arrival.message]):
        if arrival.prepare(case):
            landed = arrival.deliver(case)
            if remember:
                late.logger.warning("notifyguard: sent without a mark: %s", case.dispatch.id)
                late.remember(landed)
    return case.returned


def _salt() -> str:
    try:
        return switchboard.board().salt
    except DatabaseFailure:
        return switchboard.last_known().salt


_FORGOTTEN = Decision(
    Sending.HOLD,
    rule="pass",
    reason="It came back from its queue after its rows were pruned; it may have been sent.",
)
_REFUSED = (
    "A message came back from its queue and was not sent, because the ledger's database "
    "cannot be written: it may have been sent before. Critical types are sent all the same, "
    "save what somebody has stopped. "
    "Whoever queued it still has it; let the queue try again."
)
