"""The ordinary way through the gate: one call of a backend's ``send_messages``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError

from notifyguard import ledger, outcomes, switchboard
from notifyguard.channels import email, passes
from notifyguard.channels.transport import Receipt, Transport, is_synchronous, transport_for
from notifyguard.conf import Settings
from notifyguard.decision import Decision, State
from notifyguard.gate import failures, handover
from notifyguard.gate.case import Case, conflict, conflict_key, failed
from notifyguard.ledger import Entry, StaleBoard
from notifyguard.switchboard import Board

_BATCH_STOPPED = "An earlier message of the same batch failed."

CHUNK = 100
"""Messages that a batch claims at once; a crash leaves their claims to expire."""


class Passage:
    """Takes messages through the gate to one backend.

    Args:
        backend: the backend whose ``send_messages`` was called.
        inner: calls its original method with a list of messages.
        settings: as they stand now.
    """

    def __init__(self, backend: Any, inner: Callable[[Any], Any], settings: Settings) -> None:
        self.backend = backend
        self.settings = settings
        self.transport: Transport = transport_for(backend, inner)
        self.inner = inner
        self._synchronous = is_synchronous(backend)
        self._open = False
        self.raised: Exception | None = None

    def send(self, messages: Sequence[Any]) -> Any:
        """Judge, record and hand over; return what the backend returned for all of them."""
        return self.through(messages, self._send_all)

    def through(self, messages: Sequence[Any], send: Callable[[list[Case]], None]) -> Any:
        """Take messages one way through the gate, and tell what came of them."""
        cases = [Case(email.describe(message, self.backend), self.settings) for message in messages]
        try:
            send(cases)
        finally:
            self.close()
            for case in cases:
                outcomes.remember(case.dispatch.message, case.outcomes.values())
        return combined([case.returned for case in cases])

    def _send_all(self, cases: list[Case]) -> None:
        if len(cases) == 1:
            self._with_ledger(cases, self._send_one)
            return
        for start in range(0, len(cases), CHUNK):
            self._with_ledger(cases[start : start + CHUNK], self._send_chunk)

    # One message: claim and mark in one statement.

    def _send_one(self, cases: list[Case], board: Board) -> None:
        (case,) = cases
        self.set_aside(case, board)
        self._drop_taken([case], board)
        if case.passing and self.prepare(case):
            for entry in case.passing:
                entry.state = State.IN_FLIGHT
            won = ledger.record(case.passing, board.generation)
            if self._keep_winners(case, won):
                self.confirm(self.deliver(case))

    # Many messages: claim them all, then confirm each with the mark of the next.

    def _send_chunk(self, cases: list[Case], board: Board) -> None:
        for case in cases:
            self.set_aside(case, board)
        self._drop_taken(cases, board)
        claimed = self._claim(cases, board)
        landed: list[Entry] = []
        try:
            for case in [case for case in cases if case.passing]:
                if self.prepare(case):
                    won = ledger.mark(case.passing, board.generation, confirming=landed)
                    landed = []
                    landed = self.deliver(case) if self._keep_marked(case, won) else []
        except StaleBoard:
            landed = []  # confirmed all the same
            ledger.withdraw([entry for entry in claimed if entry.state is State.CLAIMED])
            raise
        finally:
            self.confirm(landed)
            self._give_back(cases)

    def _claim(self, cases: list[Case], board: Board) -> list[Entry]:
        entries = [entry for case in cases for entry in case.passing]
        for entry in entries:
            entry.state = State.CLAIMED
        won = set(map(id, ledger.record(entries, board.generation)))
        for case in cases:
            self._keep_winners(case, [entry for entry in case.passing if id(entry) in won])
        return [entry for entry in entries if id(entry) in won]

    def _give_back(self, cases: list[Case]) -> None:
        for case in cases:
            left = [entry for entry in case.passing if entry.state is State.CLAIMED]
            if left:
                with failures.logged("give back claims"):
                    ledger.give_up(failed(left, "batch", _BATCH_STOPPED))
                case.settle(left)

    # The steps, shared with the ways through a transaction and from the queue.

    def set_aside(self, case: Case, board: Board) -> None:
        """Judge; record what is held or discarded."""
        for decision, entries in case.judge(board).items():
            self.stop(case, decision, entries, board)

    def stop(self, case: Case, decision: Decision, entries: list[Entry], board: Board) -> None:
        """Record entries that a decision stops, with their message if it is kept."""
        kept = case.freeze() if decision.keeps_body else None
        won = ledger.record(entries, board.generation, kept)
        lost = [entry for entry in entries if entry not in won]
        case.settle(won)
        case.settle(_duplicates(lost))

    def prepare(self, case: Case) -> bool:
        """Build the message and connect: whatever fails here is proof that nothing left.

        Returns:
            False when the backend failed to connect and keeps silent about it.

        Raises:
            Exception: what the backend raises; the failure is in the ledger.
        """
        rule = "build"
        try:
            message = case.outgoing()
            self.transport.prepare(message)
            rule = "connect"
            ready = self.open()
        except Exception as error:
            self._failed_before(case, rule, error)
            self.raised = error
            raise
        if not ready:
            self._failed_before(case, rule, None)
            return False
        case.prepared = message
        for entry in case.passing:
            entry.message_id = email.storable(self.transport.message_id(message), 255)
        return True

    def open(self) -> bool:
        """Connect, once for the whole call."""
        if not self._open:
            self._open = self.transport.open()
        return self._open

    def close(self) -> None:
        """Close what was opened. What left has left: a bad goodbye is no failure of it."""
        if self._open:
            self._open = False
            try:
                self.transport.close()
            except Exception as error:  # any: an over-long reply to QUIT, a lost connection
                failures.logger.warning(
                    "notifyguard: closing the backend failed: %s", type(error).__name__
                )

    def deliver(self, case: Case) -> list[Entry]:
        """Hand the message over; return its entries with what that proved.

        Raises:
            Exception: what the backend raised, once the outcome is in the ledger.
        """
        message = case.prepared
        if not self._synchronous:
            board = switchboard.last_known()
            message = passes.with_pass(message, case.dispatch.id, board.salt)
        receipt = self._handed_over(case, message)
        if message is not case.prepared:
            passes.give_back(message, case.dispatch.message)
        case.returned = receipt.returned
        entries = case.receive(receipt)
        if receipt.error is not None:
            self.confirm(entries)
            self.raised = receipt.error
            raise receipt.error
        return entries

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Write outcomes. A message that left never ends in an exception to the caller."""
        if entries:
            with failures.logged("confirm"):
                ledger.confirm(entries)
                failures.record_late()

    def _handed_over(self, case: Case, message: Any) -> Receipt:
        try:
            with handover.of(message):
                return self.transport.deliver(message)
        except BaseException as error:  # a timeout or a stop of the process, not a failure
            for entry in case.passing:
                entry.state, entry.rule = State.UNCERTAIN, "interrupted"
                entry.reason = f"Interrupted by {type(error).__name__} while it was handed over."
            self.confirm(case.passing)
            raise

    def _drop_taken(self, cases: list[Case], board: Board) -> None:
        keyed = [(case, entry) for case in cases for entry in case.passing if entry.key]
        taken = ledger.look(list({entry.key: None for _, entry in keyed if entry.key}))
        seen: set[Any] = set()
        for case, entry in keyed:
            holder = taken.get(entry.key) if entry.key else None
            if holder is None and entry.key not in seen:
                seen.add(entry.key)
            elif holder is None or holder.fingerprint == entry.fingerprint:
                self._duplicate(case, entry)
            else:
                self._conflict(case, entry, board)

    def _duplicate(self, case: Case, entry: Entry) -> None:
        if self.settings.mode == "observe":
            # Nobody set this: it leaves, without a claim, and the ledger says why.
            entry.key, entry.rule = None, "observed duplicate"
        else:
            case.settle(_duplicates([entry]))

    def _conflict(self, case: Case, entry: Entry, board: Board) -> None:
        decision = conflict(entry)
        if self.settings.mode == "observe":
            entry.key, entry.rule, entry.reason = None, "observed conflict", decision.reason
            return
        entry.key = conflict_key(entry, board)
        entry.state, entry.rule, entry.frozen = State.HELD, decision.rule, True
        entry.reason = decision.reason
        if entry.key in ledger.look([entry.key]):
            case.settle(_duplicates([entry]))
        else:
            self.stop(case, decision, [entry], board)
        failures.alarm_conflict(entry)

    def _keep_winners(self, case: Case, won: Sequence[Entry]) -> bool:
        """Leave out those who get it from somebody else; build again what is smaller now."""
        lost = [entry for entry in case.passing if entry not in won]
        case.settle(_duplicates(lost))
        return bool(case.passing) and (not lost or case.prepared is None or self.prepare(case))

    def _keep_marked(self, case: Case, won: Sequence[Entry]) -> bool:
        """The same for a batch, whose lease may have run out while it waited."""
        if len(won) < len(case.passing):
            expired = ledger.expired([entry for entry in case.passing if entry not in won])
            # Not settled, so that they are judged and claimed once more.
            case.passing = [entry for entry in case.passing if entry not in expired]
        return self._keep_winners(case, won)

    def _failed_before(self, case: Case, rule: str, error: Exception | None) -> None:
        reason = f"{type(error).__name__}: {error}" if error else self.transport.detail
        stood = {entry.state for entry in case.passing}
        entries = failed(case.passing, rule, reason or "The backend could not connect.")
        with failures.logged("record a failure"):
            if State.CLAIMED in stood or entries[0].frozen:
                ledger.give_up(entries)
            elif State.IN_FLIGHT in stood:
                ledger.confirm(entries)
            else:
                ledger.note(entries)
        case.settle(entries)

    def _with_ledger(self, cases: list[Case], step: Callable[[list[Case], Board], None]) -> None:
        """Run a step under the present switches; again if they were set meanwhile."""
        fresh = False
        while unsettled := [case for case in cases if not case.settled]:
            try:
                step(unsettled, switchboard.board(fresh=fresh))
            except StaleBoard:
                fresh = True
            except DatabaseError as error:
                if error is self.raised:
                    raise  # the backend's own: a queue in a table
                left = [case for case in unsettled if not case.settled]
                failures.without_ledger(self, left, error)


def combined(returned: list[Any]) -> Any:
    """Return what one call for all messages would have returned.

    Backends return a count, a list (celery_email) or nothing at all.
    """
    if all(value is None for value in returned):
        return None
    lists = [value for value in returned if isinstance(value, list)]
    if lists:
        return [item for value in lists for item in value]
    return sum(value for value in returned if isinstance(value, int))


def _duplicates(entries: Sequence[Entry]) -> list[Entry]:
    for entry in entries:
        entry.state, entry.rule, entry.frozen = State.DUPLICATE, "once", False
        entry.reason = "Another delivery holds its key."
    return list(entries)
