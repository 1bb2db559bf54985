"""One message at the gate: what was decided for each recipient, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from notifyguard import hold, ledger
from notifyguard.channels import email
from notifyguard.channels.email import Dispatch
from notifyguard.channels.fingerprint import fingerprint
from notifyguard.channels.freezing import freeze
from notifyguard.channels.transport import Receipt, Verdict
from notifyguard.conf import Settings
from notifyguard.decision import Decision, RecipientOutcome, Sending, State
from notifyguard.exceptions import InvalidSettings
from notifyguard.ledger import Entry
from notifyguard.limiters import Request
from notifyguard.rules import Candidate, decide, decide_again
from notifyguard.switchboard import Board

logger = logging.getLogger("notifyguard")

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
        outcomes: by recipient, what is settled.
        granted: by recipient, what was used up of its limits.
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
    kept: bool = False
    prepared: Any = None
    returned: Any = 0

    @property
    def keyed(self) -> bool:
        """Whether the message has an idempotency key."""
        return self.dispatch.notification.key is not None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to decide or to do."""
        return len(self.outcomes) == len(self.dispatch.recipients)

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
        content = fingerprint(self.dispatch.message) if self.keyed else None
        namespace, broken = self._namespace()
        for recipient in self.dispatch.recipients:
            if recipient in self.outcomes:
                continue
            entry = self._entry(recipient, content)
            entry.key = self._key(recipient, namespace, board)
            decision = decide(self._candidate(entry, board)) or broken
            if decision is None or self.only_reported(decision, entry):
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
        stopped: dict[Decision, list[Entry]] = {}
        for entry in self.passing:
            decision = decide_again(self._candidate(entry, board))
            if decision is not None and not self.only_reported(decision, entry):
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
        return None if self.kept else freeze(self.dispatch.message)

    def settle(self, entries: Sequence[Entry]) -> None:
        """Take the entries' states as final."""
        for entry in entries:
            self.outcomes[entry.recipient] = RecipientOutcome(
                entry.recipient, entry.state, entry.rule, entry.reason
            )
        self.kept = self.kept or any(entry.frozen for entry in entries)
        self._leave_out(entries)

    def receive(self, receipt: Receipt) -> list[Entry]:
        """Write on the passing entries what the hand-over proved; return them."""
        refused = {email.normalised(to): said for to, said in receipt.refused.items()}
        for entry in self.passing:
            entry.state = _VERDICTS[receipt.verdict]
            if entry.recipient in refused:
                entry.state, entry.rule = State.FAILED, "refused"
                entry.reason = email.storable(refused[entry.recipient], 500)
            elif entry.state is not State.SENT:
                entry.rule = str(receipt.verdict)
                entry.reason = email.storable(receipt.detail, 500)
        entries = self.passing
        self.settle(entries)
        return entries

    def outgoing(self) -> Any:
        """Return the caller's own message, or a copy without those who are not to get it."""
        passing = {entry.recipient for entry in self.passing}
        if passing == set(self.dispatch.recipients):
            return self.dispatch.message
        return email.reduced(self.dispatch.message, self.written(passing))

    def written(self, recipients: Iterable[str]) -> list[str]:
        """Return the addresses as the message writes them."""
        return [to for recipient in recipients for to in self.dispatch.recipients[recipient]]

    def _leave_out(self, entries: Sequence[Entry]) -> None:
        gone = {entry.recipient for entry in entries}
        self.passing = [entry for entry in self.passing if entry.recipient not in gone]
        left = {
            decision: [entry for entry in stopped if entry.recipient not in gone]
            for decision, stopped in self.aside.items()
        }
        self.aside = {decision: stopped for decision, stopped in left.items() if stopped}

    def _candidate(self, entry: Entry, board: Board) -> Candidate:
        return Candidate(self.dispatch, entry.recipient, self.settings, board, entry.due_at)

    def only_reported(self, decision: Decision, entry: Entry) -> bool:
        """Write on an entry what was decided, if that is only reported."""
        if decision.sending is Sending.OPEN:
            entry.rule, reason = email.storable(decision.rule, 50), decision.reason
            _say_once(entry)
        elif self.settings.mode == "observe" and not decision.by_person:
            entry.rule = email.storable(f"observed {decision.rule}", 50)
            reason = f"Would have been stopped: {decision.reason}"
        else:
            return False
        entry.reason = email.storable(reason, 500)
        return True

    def _entry(self, recipient: str, content: UUID | None) -> Entry:
        dispatch = self.dispatch
        return Entry(
            dispatch=dispatch.id,
            type=dispatch.notification.type,
            recipient=recipient,
            fingerprint=content,
            origin=dispatch.origin,
            call_site=dispatch.call_site,
            task_id=dispatch.task_id,
            backend=dispatch.backend,
            subject=dispatch.subject,
            due_at=dispatch.notification.due_at,
            max_age=dispatch.notification.max_age,
        )

    def _namespace(self) -> tuple[str | None, Decision | None]:
        """Return the namespace of the keys, or what is decided when it cannot be told."""
        if not self.keyed:
            return None, None
        try:
            return self.settings.current_namespace(), None
        except InvalidSettings as error:
            # Under a guessed namespace a key that is taken would be free.
            critical = self.settings.for_type(self.dispatch.notification.type).critical
            held = Decision(Sending.HOLD, "namespace", str(error), takes_key=False)
            return None, None if critical else held

    def _key(self, recipient: str, namespace: str | None, board: Board) -> UUID | None:
        notification = self.dispatch.notification
        if notification.key is None or namespace is None or not board.salt:
            return None
        return ledger.key_of(board.salt, namespace, notification.type, recipient, notification.key)


_said: set[tuple[str, str]] = set()


def _say_once(entry: Entry) -> None:
    """Log the first report of a type and rule; the ledger holds every one."""
    if (entry.type, entry.rule) not in _said:
        _said.add((entry.type, entry.rule))
        logger.warning(
            "notifyguard: mail of type %s leaves although the rule %s objects: see dispatch %s",
            *(entry.type, entry.rule, entry.dispatch),
        )


def failed(entries: Sequence[Entry], rule: str, reason: str) -> list[Entry]:
    """Write a proven failure on the entries."""
    for entry in entries:
        entry.state, entry.rule, entry.reason = State.FAILED, rule, email.storable(reason, 500)
    return list(entries)


def stop(entry: Entry, decision: Decision) -> None:
    """Write on an entry what was decided on it."""
    entry.state, entry.rule = decision.state, email.storable(decision.rule, 50)
    entry.reason, entry.frozen = email.storable(decision.reason, 500), decision.keeps_body
    entry.wakes_at = decision.until
    if not decision.takes_key:
        entry.key = None
