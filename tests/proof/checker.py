"""The laws of the ledger. Each takes a history and yields its violations as sentences.

The checker never asks the code under test: what was accepted comes from the
mail server, what was wanted from the callers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from tests.proof.journals import Copy, Envelope, History, Intent, Mode, Row, Stop

Law = Callable[[History], Iterator[str]]

UNFINISHED = frozenset({"queued", "claimed", "in_flight"})
NOT_LEFT = frozenset({"failed", "discarded", "expired", "held"})
MAY_HAVE_LEFT = frozenset({"sent", "uncertain"})
DEATHS = 3
"""Processes that must have died before a message may be given up for it."""


def accepted_at_most_once(history: History) -> Iterator[str]:
    """A key leaves at most once for each recipient."""
    keyed = {copy for i in history.intents if i.mode is not Mode.CONTROL for copy in i.copies()}
    for copy, times in history.accepted.items():
        if copy in keyed and times > 1:
            yield f"{copy.name} was accepted {times} times for {copy.recipient}"


def accepted_was_intended(history: History) -> Iterator[str]:
    """Nothing leaves that no caller asked for."""
    intended = {copy for intent in history.intents for copy in intent.copies()}
    for copy in history.accepted:
        if copy not in intended:
            yield f"{copy.name!r} was accepted for {copy.recipient}, but nobody meant to send it"


def accepted_is_recorded(history: History) -> Iterator[str]:
    """Whatever left has a row which says that it did, or may have."""
    for copy in history.accepted:
        states = [row.state for row in history.rows_by_recipient.get(copy.recipient, [])]
        if not MAY_HAVE_LEFT.intersection(states):
            yield f"{copy.name} was accepted for {copy.recipient}, but the ledger says {states}"


def committed_has_a_row(history: History) -> Iterator[str]:
    """What a caller committed, the ledger knows."""
    for intent in _committed(history):
        for recipient in intent.recipients:
            if recipient not in history.rows_by_recipient:
                yield f"{intent.name} was committed, but has no row for {recipient}"


def committed_is_not_lost(history: History) -> Iterator[str]:
    """What a caller committed was accepted, or stands as uncertain, unless the server refused.

    Or unless three processes died over it: then it has failed, with an alarm.
    """
    for intent in _committed(history):
        for copy in intent.copies():
            rows = history.rows_by_recipient.get(copy.recipient, [])
            known = intent.fault or history.accepted[copy]
            known = known or any(_given_up(row, history) for row in rows)
            if not known and all(row.state != "uncertain" for row in rows):
                said = "; ".join(map(str, rows))
                yield f"{copy.name} was committed, but lost for {copy.recipient}: {said}"


def sent_was_accepted(history: History) -> Iterator[str]:
    """``sent`` is never said of a message that the server did not take."""
    for recipient, rows in history.rows_by_recipient.items():
        sent = [row for row in rows if row.state == "sent"]
        taken = history.accepted_by_recipient.get(recipient, [])
        if len(sent) > len(taken):
            yield f"{recipient} has {len(sent)} rows sent, but {len(taken)} accepted"
        elif any(not any(_same(row, envelope) for envelope in taken) for row in sent):
            yield f"{recipient} has a row sent whose Message-ID was never accepted"


def not_left_was_not_accepted(history: History) -> Iterator[str]:
    """``failed``, ``discarded``, ``expired`` and ``held`` are never said of a message that left."""
    for recipient, rows in history.rows_by_recipient.items():
        taken = history.accepted_by_recipient.get(recipient, [])
        excused = [row for row in rows if row.state in MAY_HAVE_LEFT]
        for row in rows:
            if row.state in NOT_LEFT and any(_belies(row, e, excused) for e in taken):
                yield f"{recipient} has a row {row.state}, but that message was accepted"


def rolled_back_was_not_accepted(history: History) -> Iterator[str]:
    """What a caller rolled back never leaves."""
    for intent in history.intents:
        for copy in intent.copies():
            if intent.rolled_back and history.accepted[copy]:
                yield f"{copy.name} was rolled back, but accepted for {copy.recipient}"


def uncertain_needs_a_fault(history: History) -> Iterator[str]:
    """Without a fault nothing is uncertain; a killed process leaves one dispatch at most."""
    dispatches: defaultdict[int, set[str]] = defaultdict(set)
    for row in history.rows:
        if row.state == "uncertain" and row.recipient not in history.faulty:
            dispatches[row.process].add(row.dispatch)
    for process, left in dispatches.items():
        if process not in history.killed:
            yield f"{len(left)} dispatches are uncertain of process {process}, which was not killed"
        elif len(left) > 1:
            yield f"process {process} was killed once, but left {len(left)} dispatches uncertain"


def controls_arrive_exactly_once(history: History) -> Iterator[str]:
    """Mail without a key, from a process that is left alone, is neither lost nor doubled."""
    for intent in history.intents:
        for copy in intent.copies() if intent.mode is Mode.CONTROL else ():
            if history.accepted[copy] != 1:
                yield f"control {copy.name} was accepted {history.accepted[copy]} times"


def everything_is_settled(history: History) -> Iterator[str]:
    """After the last sweep nothing is left on its way."""
    for row in history.rows:
        if row.state in UNFINISHED:
            yield f"{row.recipient} is still {row.state}"


LAWS: tuple[Law, ...] = (
    accepted_at_most_once,
    accepted_was_intended,
    accepted_is_recorded,
    committed_has_a_row,
    committed_is_not_lost,
    sent_was_accepted,
    not_left_was_not_accepted,
    rolled_back_was_not_accepted,
    uncertain_needs_a_fault,
    controls_arrive_exactly_once,
    everything_is_settled,
)


def violations(history: History, laws: Iterable[Law] = LAWS) -> list[str]:
    """Every breach of every law, each with the name of its law in front."""
    return [f"{law.__name__}: {text}" for law in laws for text in law(history)]


def stopped_means_stopped(stops: Iterable[Stop], envelopes: Iterable[Envelope]) -> Iterator[str]:
    """While stopped no worker begins another than the one it had in the air.

    After a command that waited, nothing is begun and nothing arrives.
    """
    journal = list(envelopes)
    for number, stop in enumerate(stops, 1):
        begun = [e for e in journal if stop.returned < e.begun < stop.reopened]
        arrived = [e for e in journal if stop.returned < e.at < stop.reopened]
        if stop.waited and (begun or arrived):
            yield f"stop {number}: {len(set(begun + arrived))} moved after --wait had returned"
        for worker in {e.worker for e in begun}:
            count = sum(e.worker == worker for e in begun)
            if count > 1:
                yield f"stop {number}: worker {worker} began {count} after the command returned"


def doubled(history: History) -> list[Copy]:
    """The copies that reached a person more than once."""
    return [copy for copy, times in history.accepted.items() if times > 1]


def _committed(history: History) -> Iterator[Intent]:
    return (intent for intent in history.intents if intent.committed)


def _given_up(row: Row, history: History) -> bool:
    return row.state == "failed" and row.given_up and len(history.killed) >= DEATHS


def _same(row: Row, envelope: Envelope) -> bool:
    return not row.message_id or row.message_id == envelope.message_id


def _belies(row: Row, envelope: Envelope, excused: list[Row]) -> bool:
    """The envelope is this row's, by Message-ID, or no other row can account for it."""
    if row.message_id and row.message_id == envelope.message_id:
        return not any(other.message_id == row.message_id for other in excused)
    return not any(_same(other, envelope) for other in excused)
