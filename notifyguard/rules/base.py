"""What every rule is given, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.decision import Decision
from notifyguard.switchboard import Board


@dataclass(frozen=True, slots=True)
class Candidate:
    """One message to one recipient, about to be judged.

    Attributes:
        dispatch: the message.
        recipient: the normalised address.
        settings: the present settings.
        board: the switches the decision is made under.
    """

    dispatch: Dispatch
    recipient: str
    settings: Settings
    board: Board

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
    """A rule. When it breaks, mail is held, so that nothing is lost, and critical mail passes.

    Attributes:
        name: as in ``DISABLED_RULES`` and in the ledger.
        judge: the rule itself; it reads and never writes.
        optional: may be switched off by ``DISABLED_RULES``. What a person set is
            no option: a kill switch that a setting disables stops nothing.
    """

    name: str
    judge: Callable[[Candidate], Decision | None]
    optional: bool = True
