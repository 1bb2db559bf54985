"""One message that came back from a queue, with the rows of its first stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from notifyguard import database, ledger, switchboard
from notifyguard.channels import email
from notifyguard.channels.email import Dispatch
from notifyguard.channels.fingerprint import fingerprint
from notifyguard.channels.freezing import Frozen, freeze
from notifyguard.channels.passes import Pass
from notifyguard.conf import Settings
from notifyguard.database import Standing
from notifyguard.decision import Decision, State
from notifyguard.gate import late
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.gate.stopped import failed, stop
from notifyguard.ledger import Entry, StaleBoard, beside, came_back, collisions, rows
from notifyguard.models import Delivery
from notifyguard.notification import Notification
from notifyguard.switchboard import Board

T = TypeVar("T")


class Arrival(Passage):
    """The steps of a message whose rows were written where it was judged.

    Where no row can be seen, since they are not committed yet or were rolled back, it
    writes rows of its own, which replace those of the first stop once they appear.

    Args:
        backend, inner, settings: as of any passage.
        message: as the queue brings it.
        given: its pass.

    Attributes:
        is_forgotten: its rows may have been pruned; whether it was sent is not known.
    """

    def __init__(
        self,
        backend: Any,
        inner: Callable[[Any], Any],
        settings: Settings,
        message: Any,
        given: Pass,
    ) -> None:
        super().__init__(backend, inner, settings)
        self.message = message
        self.given = given
        self.case = Case(_dispatch(message, given, backend), settings)
        self._gives_pass = False
        self._own = self._marked = False
        self.is_forgotten = False
        self._aside = beside.is_possible()

    def find(self) -> list[str]:
        """Take up the entries that may leave; return the recipients that nobody judged."""
        case = self.case
        recipients = [to for to in case.dispatch.recipients if to not in case.outcomes]
        found = self._found(recipients)
        self._own = self._writes_own(found)
        self.is_forgotten = self._own and not found and self._is_old()
        if self._own:
            case.passing = self.own_entries("observed duplicate" if found else "")
            return []
        entries = {to: rows.entry_of(row) for to, row in found.items()}
        case.passing = [
            entries[to] for to, row in found.items() if came_back.may_leave(row, self.given.attempt)
        ]
        self.leave_out([each for each in entries.values() if each not in case.passing])
        return [to for to in recipients if to not in entries]

    def own_entries(self, rule: str = "") -> list[Entry]:
        """Return entries for new rows, which count as having been at the second stop."""
        entries = self.case.entries()
        for entry in entries:
            entry.attempt, entry.rule = self.given.attempt + 1, rule
        return entries

    def keep(self, decision: Decision, entries: Sequence[Entry], board: Board) -> None:
        """Hold or discard what may leave, for the backend that it was about to leave by.

        Args:
            decision: what is made of them.
            entries: among those that may leave.
            board: the switches it was made under.

        Raises:
            StaleBoard: a switch was set meanwhile; nothing was written.
        """
        case = self.case
        for entry in entries:
            stop(entry, decision)
            entry.backend = case.dispatch.backend
            entry.fingerprint = entry.fingerprint or fingerprint(self.message)
        frozen = replace(freeze(self.message), type=self.given.type)
        if self._own:
            kept = self._record_own(entries, board, frozen)
        else:
            attempt = self.given.attempt
            stop_now = partial(came_back.stop, entries, attempt, board.generation, frozen)
            kept = self._on_ledger(stop_now)
        case.settle(kept)
        self.leave_out([entry for entry in entries if entry in case.passing])

    def mark(self, board: Board) -> list[Entry]:
        """Commit the point of no return; return the entries that may leave now.

        Raises:
            StaleBoard: a switch was set meanwhile; nothing was written.
        """
        entries = self.case.passing
        if self._own:
            for entry in entries:
                entry.state = State.IN_FLIGHT
            marked = self._record_own(entries, board)
        else:
            attempt = self.given.attempt
            mark_now = partial(came_back.mark, entries, attempt, board.generation)
            marked = self._on_ledger(mark_now)
        self._marked = True
        return marked

    def leave_out(self, entries: Sequence[Entry]) -> None:
        """Settle what somebody else sends, or has sent."""
        for entry in entries:
            collisions.make_duplicate(entry)
        self.case.settle(entries)

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Write outcomes, as ``Passage.confirm`` does."""
        if entries:
            with late.logged("confirm"):
                self._on_ledger(partial(ledger.confirm, entries))
                late.record_late()

    def _on_ledger(self, work: Callable[[], T]) -> T:
        """Work on the ledger in commits of our own, where the database lets us."""
        return beside.run(work) if self._aside else work()

    def _found(self, recipients: Sequence[str]) -> dict[str, Delivery]:
        find = partial(came_back.find, self.given.dispatch, recipients)
        found = self._on_ledger(find)
        if not found and self._aside:
            # Written in the very transaction that is open: it can only be changed there.
            found = find()
            self._aside = not found
        return found

    def _writes_own(self, found: Mapping[str, Delivery]) -> bool:
        if not found:
            return not self._on_ledger(partial(came_back.is_known, self.given.dispatch))
        if self.settings.mode != "observe":
            return False
        # What was sent before is a duplicate, which this mode only reports.
        return not any(came_back.may_leave(row, self.given.attempt) for row in found.values())

    def _is_old(self) -> bool:
        """Whether its rows may have been deleted for their age: nobody knows if it was sent."""
        # The dispatch tells when it was made (RFC 9562, version 7).
        made = datetime.fromtimestamp((self.given.dispatch.int >> 80) / 1000, UTC)
        return made < datetime.now(UTC) - self.settings.retention.deliveries

    def _record_own(
        self, entries: Sequence[Entry], board: Board, frozen: Frozen | None = None
    ) -> list[Entry]:
        def record() -> list[Entry]:
            if database.standing() is Standing.CALLER:
                return _note_own(entries, board, frozen)
            with beside.waiting_briefly():
                return ledger.record(entries, board.generation, frozen)

        return self._on_ledger(record)

    def try_again(self, case: Case, entries: Sequence[Entry], detail: str) -> list[Entry]:
        """Keep nothing: the queue that the message comes out of has tries of its own."""
        return []

    def _failed_before(self, case: Case, rule: str, error: Exception | None) -> bool:
        reason = f"{type(error).__name__}: {error}" if error else self.transport.detail
        entries = failed(case.passing, rule, reason or "The backend could not connect.")
        with late.logged("record a failure"):
            if self._marked:
                self._on_ledger(partial(ledger.confirm, entries))
            elif self._own:
                self._on_ledger(partial(ledger.note, entries))
            else:
                self._on_ledger(partial(came_back.give_up, entries, self.given.attempt))
        case.settle(entries)
        return False


def _note_own(entries: Sequence[Entry], board: Board, frozen: Frozen | None) -> list[Entry]:
    """Write rows without a lock, as everything in a transaction of the caller."""
    if switchboard.generation_now() != board.generation:
        raise StaleBoard
    ledger.note(entries, frozen)
    return list(entries)


def _dispatch(message: Any, given: Pass, backend: Any) -> Dispatch:
    """Return the dispatch as far as it can be told here; its rows know the rest."""
    return Dispatch(
        id=given.dispatch,
        message=message,
        notification=Notification(given.type),
        recipients=email.recipients_of(message),
        origin="",
        call_site="",
        task_id="",
        backend=email.label_of(backend),
        subject=email.storable(getattr(message, "subject", ""), 200),
    )
