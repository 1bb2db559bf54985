"""What every rule is given, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from notifyguard.channels.email import Dispatch
from notifyguard.conf import Action, Settings
from notifyguard.decision import Decision
from notifyguard.switchboard import Block, Board

OnError = Literal["hold", "hold_but_critical"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One message to one recipient, about to be judged.

    Attributes:
        dispatch: the message.
        recipient: the normalised address.
        settings: the present settings.
        board: the switches the decision is made under.
        due_at: when it was meant to leave, as the ledger stores times; ``None``
            for now.
        scheduled: its message said when to leave, before that time.
        block: the block on the recipient that is in force, if there is one.
    """

    dispatch: Dispatch
    recipient: str
    settings: Settings
    board: Board
    due_at: datetime | None = None
    scheduled: bool = False
    block: Block | None = None

    @property
    def type(self) -> str:
        """The notification type."""
        return self.dispatch.notification.type

    @property
    def critical(self) -> bool:
        """Whether a person waits for messages of this type."""
        return self.settings.for_type(self.type).critical


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. When it breaks, mail is held, so that nothing is lost.

    Attributes:
        name: as in ``DISABLED_RULES`` and in the ledger.
        judge: the rule itself; it reads and never writes.
        optional: may be switched off by ``DISABLED_RULES``. What a person set is
            no option: a kill switch that a setting disables stops nothing.
        action: what is made of its decisions where ``TYPES[…]["rules"]`` says
            nothing; ``None`` for what the rule itself decides.
        on_error: when it breaks, ``"hold_but_critical"`` holds what it judges, save
            for mail that a person waits for; ``"hold"`` holds that too.
        asked_again: time changes its answer, so it is asked again when what was
            kept is about to leave.
        on_people: says who may be written to at all, so it is asked of what comes back
            from a queue, too.
        looks_at_message: what is sent by other means than mail has none; it is not asked there.
    """

    name: str
    judge: Callable[[Candidate], Decision | None]
    optional: bool = True
    action: Action | None = None
    on_error: OnError = "hold_but_critical"
    asked_again: bool = False
    on_people: bool = False
    looks_at_message: bool = True
