"""One message at the gate: what was decided for each recipient, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from notifyguard import clock, database, hold
from notifyguard.channels import email
from notifyguard.channels.email import Dispatch
from notifyguard.channels.fingerprint import fingerprint
from notifyguard.channels.freezing import freeze
from notifyguard.channels.transport import Receipt, Verdict
from notifyguard.conf import Settings
from notifyguard.decision import Decision, RecipientOutcome, State
from notifyguard.gate import keys
from notifyguard.gate.entries import new_entry
from notifyguard.gate.inferred import Places
from notifyguard.gate.reports import is_only_reported
from notifyguard.gate.stopped import stop
from notifyguard.ledger import Entry, retries
from notifyguard.limiters import Request
from notifyguard.rules import Candidate, decide, decide_again, decide_early
from notifyguard.switchboard import Block, Board

_VERDICTS = {
    Verdict.ACCEPTED: State.SENT,
    Verdict.REFUSED: State.FAILED,
    Verdict.UNKNOWN: State.UNCERTAIN,
}


@dataclass(slots=True)
class Case:
    """A message and, by recipient, the entries that pass and what became of the others.

    Attributes:
        dispatch: the message.
        settings: as they stood when it came.
        passing: the entries that nothing has stopped so far.
        aside: the entries that were stopped and are not recorded yet, by decision.
        scheduled: its time to leave is yet to come; told when it is judged.
        outcomes: by recipient, what is settled.
        granted: by recipient, what was used up of its limits.
        granted_at: when, by the monotonic clock; of several times the first.
        blocks: by recipient, the blocks that are in force: ``gate.blocking`` looks.
        key: that the message was given, whoever it goes to.
        places: of the message, among those that look the same in one run of a task.
        caller_waits: somebody is told when it fails; not of what was kept and leaves by itself.
        kept: its message is stored; other recipients may be kept back for other reasons.
        prepared: what is handed over: the caller's object, or a smaller copy of it.
        returned: what the backend returned for it.
    """

    dispatch: Dispatch
    settings: Settings
    passing: list[Entry] = field(default_factory=list)
    aside: dict[Decision, list[Entry]] = field(default_factory=dict)
    outcomes: dict[str, RecipientOutcome] = field(default_factory=dict)
    granted: dict[str, Request] = field(default_factory=dict)
    granted_at: float = 0.0
    blocks: Mapping[str, Block] = field(default_factory=dict)
    scheduled: bool = False
    caller_waits: bool = True
    kept: bool = False
    key: UUID | None = None
    prepared: Any = None
    returned: Any = 0
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places(self.dispatch)

    @property
    def keyed(self) -> bool:
        """Whether the message was given an idempotency key."""
        return self.dispatch.notification.key is not None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to decide or to do."""
        return len(self.outcomes) == len(self.dispatch.recipients)

    @property
    def is_kept_first(self) -> bool:
        """Whether it is stored before it leaves: for later, or to be sent again as it was."""
        options = self.settings.for_type(self.dispatch.notification.type)
        return self.scheduled or options.on_uncertain == "resend"

    @property
    def unsettled(self) -> list[Entry]:
        """The entries that pass or are set aside."""
        return [*self.passing, *(entry for entries in self.aside.values() for entry in entries)]

    @property
    def held(self) -> set[tuple[str, str]]:
        """Its type with each rule by which it is held for somebody."""
        found = self.outcomes.values()
        type = self.dispatch.notification.type
        return {(type, outcome.rule) for outcome in found if outcome.state is State.HELD}

    def judge(self, board: Board) -> None:
        """Decide on every recipient that is not settled, under this board: pass or aside."""
        self.passing, self.aside = [], {}
        self.scheduled = self._is_scheduled()
        ask = decide_early if self.scheduled else decide
        content = fingerprint(self.dispatch.message) if self.keyed else None
        space, broken = keys.namespace(self.dispatch, self.settings)
        self.key = keys.key(self.dispatch, space, board)
        for recipient in self.dispatch.recipients:
            if recipient in self.outcomes:
                continue
            entry = self._entry(recipient, content)
            entry.key = keys.delivery_key(self.dispatch, space, board, recipient, self.places)
            entry.supersedes = keys.supersedes(self.dispatch, space, board, recipient)
            decision = ask(self._candidate(entry, board)) or broken
            if decision is None or is_only_reported(decision, entry, self.settings):
                self.passing.append(entry)
            else:
                stop(entry, decision)
                self.aside.setdefault(decision, []).append(entry)

    def set_aside(self, decision: Decision, entries: list[Entry]) -> None:
        """Stop entries; they are still to be recorded."""
        self._leave_out(entries)
        for entry in entries:
            stop(entry, decision)
        if entries:
            self.aside[decision] = entries

    def judge_again(self, board: Board) -> dict[Decision, list[Entry]]:
        """Decide once more on what was kept and is about to leave, under this board.

        Returns:
            The passing entries that are stopped now, by decision.
        """
        return self.stopped_by(decide_again, board)

    def stopped_by(
        self, ask: Callable[[Candidate], Decision | None], board: Board
    ) -> dict[Decision, list[Entry]]:
        """Return the passing entries that a rule, or several, stop under this board."""
        stopped: dict[Decision, list[Entry]] = {}
        for entry in self.passing:
            decision = ask(self._candidate(entry, board))
            if decision is not None and not is_only_reported(decision, entry, self.settings):
                stopped.setdefault(decision, []).append(entry)
        return stopped

    def stopped(self, decision: Decision) -> list[Entry]:
        """Return entries for all recipients on which this was decided."""
        entries = self.entries()
        for entry in entries:
            stop(entry, decision)
        return entries

    def entries(self) -> list[Entry]:
        """Return a new entry, without a key, for each recipient."""
        return [self._entry(recipient, None) for recipient in self.dispatch.recipients]

    def freeze(self) -> hold.Frozen | None:
        """Return the message frozen, or ``None`` if it is stored already."""
        return None if self.kept else self.frozen()

    def frozen(self) -> hold.Frozen:
        """Return the message frozen; one that leaves later is dated then."""
        self._know_content()
        date = self.dispatch.notification.send_at if self.scheduled else None
        frozen = freeze(self.dispatch.message, date=date)
        return replace(frozen, key=self.key, type=self.dispatch.notification.type)

    def settle(self, entries: Sequence[Entry]) -> None:
        """Take the entries' states as final."""
        for entry in entries:
            self.outcomes[entry.recipient] = RecipientOutcome(
                entry.recipient, entry.state, entry.rule, entry.reason
            )
        self.kept = self.kept or any(entry.frozen for entry in entries)
        self._leave_out(entries)

    def receive(self, receipt: Receipt) -> list[Entry]:
        """Write on the passing entries what the hand-over proved; return them, unsettled."""
        refused = {email.normalised(to): said for to, said in receipt.refused.items()}
        for entry in self.passing:
            entry.state = _VERDICTS[receipt.verdict]
            if entry.recipient in refused:
                entry.state, entry.rule = State.FAILED, "refused"
                entry.reason = email.storable(refused[entry.recipient], 500)
                entry.transient = refused[entry.recipient].startswith("4")
            elif entry.state is not State.SENT:
                entry.rule = str(receipt.verdict)
                entry.reason = email.storable(receipt.detail, 500)
                entry.transient = receipt.transient and entry.state is State.FAILED
            if entry.doubtful and entry.state is State.FAILED:
                retries.make_doubtful(entry)
        return self.passing

    def outgoing(self) -> Any:
        """Return the caller's own message, or a copy without those who are not to get it."""
        passing = {entry.recipient for entry in self.passing}
        if passing == set(self.dispatch.recipients):
            return self.dispatch.message
        return email.reduced(self.dispatch.message, self.written(passing))

    def written(self, recipients: Iterable[str]) -> list[str]:
        """Return the addresses as the message writes them."""
        return [to for recipient in recipients for to in self.dispatch.recipients[recipient]]

    def _know_content(self) -> None:
        """Write on entries what their message says: repeats among what is kept are told by it."""
        unknown = [entry for entry in self.unsettled if entry.fingerprint is None]
        content = fingerprint(self.dispatch.message) if unknown else None
        for entry in unknown:
            entry.fingerprint = content

    def _leave_out(self, entries: Sequence[Entry]) -> None:
        gone = {entry.recipient for entry in entries}
        self.passing = [entry for entry in self.passing if entry.recipient not in gone]
        left = {
            decision: [entry for entry in stopped if entry.recipient not in gone]
            for decision, stopped in self.aside.items()
        }
        self.aside = {decision: stopped for decision, stopped in left.items() if stopped}

    def _candidate(self, entry: Entry, board: Board) -> Candidate:
        return Candidate(
            self.dispatch,
            entry.recipient,
            self.settings,
            board,
            entry.due_at,
            entry.scheduled,
            self.blocks.get(entry.recipient),
        )

    def _is_scheduled(self) -> bool:
        notification = self.dispatch.notification
        if notification.send_at is None or notification.due_at is None:
            return False
        return notification.due_at > clock.now(database.connection())

    def _entry(self, recipient: str, content: UUID | None) -> Entry:
        return new_entry(self.dispatch, recipient, content, scheduled=self.scheduled)
