"""What can be decided about a message, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Sending(StrEnum):
    """The position of a switch."""

    OPEN = "open"
    HOLD = "hold"
    DISCARD = "discard"


class State(StrEnum):
    """Where a delivery stands. Each change is one conditional UPDATE in the ledger."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    IN_FLIGHT = "in_flight"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    HELD = "held"
    DISCARDED = "discarded"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"


class ReleaseState(StrEnum):
    """Where a release stands."""

    RUNNING = "running"
    CANARY = "canary"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"


ENDED = (ReleaseState.DONE, ReleaseState.STOPPED)
"""States in which a release lets nothing go any more."""

OPEN_STATES = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT, State.UNCERTAIN, State.HELD)
"""States that still wait for something: for a worker, for evidence or for a person."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a message does not leave now. No decision means that it passes.

    Attributes:
        sending: ``HOLD`` keeps the message, ``DISCARD`` records it without sending,
            ``OPEN`` reports: it leaves, and the ledger says by which rule and why.
        rule: the name of the rule that decided.
        reason: one sentence for the operator.
        by_person: somebody set this (a switch, a setting, ``suppressed()``), so
            that it is obeyed in ``MODE = "observe"`` too.
        takes_key: the decision uses the idempotency key up, so that a redelivery
            of the same message is a duplicate. ``suppressed`` leaves it free for
            the inform step.
        keeps_body: the frozen message is kept, so that a person can look and release.
        until: it is held until then only, and waits in the queue; ``None`` for a person's word.
        ends_as: the state of what is discarded.
    """

    sending: Sending
    rule: str
    reason: str
    by_person: bool = False
    takes_key: bool = True
    keeps_body: bool = True
    until: datetime | None = None
    ends_as: State = State.DISCARDED

    def __post_init__(self) -> None:
        if self.sending is Sending.HOLD and not self.keeps_body:
            raise ValueError("What is held is kept: there would be nothing to release.")

    @property
    def state(self) -> State:
        """The state of a delivery that this stops."""
        if self.until is not None:
            return State.QUEUED
        return State.HELD if self.sending is Sending.HOLD else self.ends_as


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What happened to one recipient of a message, and why.

    Attributes:
        recipient: the envelope address, normalised.
        state: the state the ledger shows; ``sent`` for a message that passed.
        rule: the rule that decided, or ``""``.
        reason: in words, or ``""``.
    """

    recipient: str
    state: State
    rule: str = ""
    reason: str = ""
