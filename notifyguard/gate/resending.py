"""``on_uncertain: "resend"``: kept before it leaves, so that it can be sent again as it was.

At least once instead of at most once. Message-ID and Date are those of the first
try, so that a mail program may tell that it is the same message.
"""

from __future__ import annotations

from typing import Any

from notifyguard.channels.freezing import thaw
from notifyguard.decision import State
from notifyguard.gate import kept, schedule
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.switchboard import Board

_IN_HAND = (State.SENT, State.QUEUED, State.UNCERTAIN)


def applies(case: Case) -> bool:
    """Tell whether the message's type is to be sent again when its fate is not known."""
    return case.is_kept_first and not case.scheduled


def send(passage: Passage, case: Case, board: Board) -> None:
    """Queue the message with its key taken, and deliver what was queued at once.

    If this process dies the sweeper goes on where it was.

    Raises:
        Exception: what the backend raised, if the message is not sent again.
        CannotFreeze: the message cannot be kept.
        StaleBoard: a switch was set meanwhile; nothing was written.
    """
    frozen = case.frozen()
    won = schedule.queue(case, board, frozen)
    if not won:
        return
    message = thaw(frozen)
    before = dict(vars(message))
    try:
        kept.deliver(won, frozen, passage.backend, passage.inner, message, caller_waits=True)
    finally:
        case.settle(won)  # with what came of them
        case.returned = int(any(entry.state in _IN_HAND for entry in won))
        _give_back(message, before, case.dispatch.message)


def _give_back(delivered: Any, before: dict[str, Any], message: Any) -> None:
    """Write on the caller's object what the backend wrote; its headers stay its own."""
    for name, value in vars(delivered).items():
        if name != "extra_headers" and (name not in before or before[name] is not value):
            setattr(message, name, value)
