"""One call of a backend's ``send_messages`` on its way through the gate: the steps.

The ways are ``inline``, ``transactional`` and ``kept``; each takes these steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from notifyguard import alerts, database, ledger, outcomes, switchboard
from notifyguard.channels import email, passes
from notifyguard.channels.passes import Pass
from notifyguard.channels.transience import is_transient
from notifyguard.channels.transport import (
    Receipt,
    Transport,
    is_queue,
    is_synchronous,
    transport_for,
)
from notifyguard.conf import Settings
from notifyguard.database import Standing
from notifyguard.decision import State
from notifyguard.gate import blocking, handover, late, quota, retrying, room, schedule
from notifyguard.gate.case import Case
from notifyguard.gate.once import drop_taken
from notifyguard.gate.returned import combined
from notifyguard.gate.stopped import failed
from notifyguard.ledger import Entry, collisions, handed_on
from notifyguard.switchboard import Board


class Passage:
    """The steps that take messages to one backend, and what the ways have in common.

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
        self._gives_pass = not is_synchronous(backend)
        self._open = False
        self._unreachable: Exception | None = None
        self._silent = False  # it could not connect, and raised nothing
        self.raised: Exception | None = None

    def through(self, messages: Sequence[Any], send: Callable[[list[Case]], None]) -> Any:
        """Take messages one way through the gate, and tell what came of them."""
        cases = [Case(email.describe(message, self.backend), self.settings) for message in messages]
        try:
            send(cases)
        finally:
            self.close()
            quota.settle(cases)
            for case in cases:
                case.places.settle(case.outcomes)
                outcomes.remember(case.dispatch.message, case.outcomes.values())
            alerts.after_holding(pair for case in cases for pair in case.held)
            alerts.after_discarding(room.types_without(cases))
        return combined([case.returned for case in cases])

    def judge(self, cases: Sequence[Case], board: Board) -> None:
        """Decide, and record what is held, discarded or for later; what passes is left to send."""
        blocking.look(cases, board)
        for case in cases:
            case.judge(board)
        drop_taken(cases, board)
        # What is kept first is counted when it leaves.
        quota.keep_within([case for case in cases if not case.is_kept_first], board)
        for case in cases:
            room.keep_within(case)
            for decision, entries in list(case.aside.items()):
                frozen = case.freeze() if decision.keeps_body else None
                won = ledger.record(entries, board.generation, frozen)
                collisions.alarm(won)
                case.settle(won)
            if case.scheduled and case.passing:
                schedule.keep(case, board)

    def prepare(self, case: Case) -> bool:
        """Build the message and connect: whatever fails here is proof that nothing left.

        Returns:
            False when the backend failed to connect and keeps silent about it, or when
            the message is tried again later.

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
            if rule == "connect":
                self._unreachable = error
            if self._failed_before(case, rule, error):
                return False
            self.raised = error
            raise
        if not ready:
            self._failed_before(case, rule, None)
            return False
        case.prepared = message
        for entry in case.passing:
            entry.message_id = email.storable(self.transport.message_id(message), 255)
        return True

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._open

    def open(self) -> bool:
        """Connect, once for the whole call; a server that was not there is not asked again."""
        if self._unreachable is not None:
            raise self._unreachable
        if not self._open and not self._silent:
            self._open = self.transport.open()
            self._silent = not self._open
        return self._open

    def close(self) -> None:
        """Close what was opened. What left has left: a bad goodbye is no failure of it."""
        if self._open:
            self._open = False
            try:
                self.transport.close()
            except Exception as error:  # any: an over-long reply to QUIT, a lost connection
                late.logger.warning(
                    "notifyguard: closing the backend failed: %s", type(error).__name__
                )

    def deliver(self, case: Case) -> list[Entry]:
        """Hand the message over; return its entries with what that proved.

        Nothing is left to confirm of what a queue took: that it was sent is for the
        second stop to say.

        Raises:
            Exception: what the backend raised, once the outcome is in the ledger.
        """
        message = case.prepared
        if self._gives_pass:
            message = _with_pass(message, case)
        before = passes.attributes(message)
        receipt = self._handed_over(case, message)
        if message is not case.dispatch.message:
            passes.give_back(message, before, case.dispatch.message)
        case.returned = receipt.returned
        if receipt.error is None and is_queue(self.backend):
            self._hand_on(case)
            return []
        entries = case.receive(receipt)
        again = self.try_again(case, [e for e in entries if e.transient], receipt.detail)
        case.settle(entries)
        entries = [entry for entry in entries if entry not in again]
        if self._gives_pass:
            entries = self._not_overtaken(case, entries)
        in_hand = again or any(map(retrying.will_be_resent, entries))
        if receipt.error is not None and not in_hand:
            self.confirm(entries)
            self.raised = receipt.error
            raise receipt.error
        return entries

    def try_again(self, case: Case, entries: Sequence[Entry], detail: str) -> list[Entry]:
        """Keep what failed for now, if its type says so; return what will be tried again."""
        return retrying.keep(case, entries, detail)

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Write outcomes. A message that left never ends in an exception to the caller."""
        if entries:
            with late.logged("confirm"):
                ledger.confirm(entries)
                late.record_late()

    def _hand_on(self, case: Case) -> None:
        """Record that a queue has the message; without a ledger nothing says that it waits."""
        if switchboard.last_known() is not switchboard.NO_LEDGER:
            with late.logged("record a hand-over to a queue"):
                handed_on.hand_on(case.passing, email.label_of(self.backend))
                if database.standing() is Standing.CALLER:
                    handed_on.fold_on_commit(case.dispatch.id)
        case.settle(case.passing)

    def _not_overtaken(self, case: Case, entries: list[Entry]) -> list[Entry]:
        """Leave out what came to the second stop meanwhile: theirs is the better word."""
        overtaken: list[Entry] = []
        with late.logged("look for what came back"):
            overtaken = handed_on.overtaken(entries)
        case.settle(overtaken)
        return [entry for entry in entries if entry not in overtaken]

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

    def _failed_before(self, case: Case, rule: str, error: Exception | None) -> bool:
        """Write a failure down; return whether the message is tried again for anybody."""
        reason = f"{type(error).__name__}: {error}" if error else self.transport.detail
        stood = {entry.state for entry in case.passing}
        passes_by = is_transient(error) if error else self.transport.transient
        transient = case.passing if rule == "connect" and passes_by else []
        again = self.try_again(case, transient, reason)
        case.settle(again)
        case.settle(retrying.stay_uncertain(case.passing, reason))
        if not case.passing:
            return True
        entries = failed(case.passing, rule, reason or "The backend could not connect.")
        with late.logged("record a failure"):
            if State.IN_FLIGHT in stood:
                ledger.confirm(entries)
            elif State.CLAIMED in stood or entries[0].frozen:
                ledger.give_up(entries)
            else:
                ledger.note(entries)
        case.settle(entries)
        return bool(again)


def _with_pass(message: Any, case: Case) -> Any:
    salt = switchboard.last_known().salt
    if not salt:
        return message  # without a ledger nothing was recorded that it could stand for
    attempt = max(entry.attempt for entry in case.passing)
    given = Pass(case.dispatch.id, attempt, case.dispatch.notification.type)
    return passes.with_pass(message, given, salt)
