"""The second stop: a message that was judged and comes out of a queue or a thread.

It was counted and recorded when it was judged. Only the switches are asked again;
what they stop now is held, whatever the queue makes of its own row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import DatabaseError

from notifyguard import ledger, switchboard
from notifyguard.channels import email, passes
from notifyguard.conf import Settings
from notifyguard.decision import Decision
from notifyguard.gate import handover, light, loop
from notifyguard.gate.case import Case
from notifyguard.gate.passage import combined


def send(backend: Any, inner: Callable[[Any], Any], batch: list[Any], settings: Settings) -> Any:
    """Hand over what the switches let pass; judge anew what has no valid pass."""
    from notifyguard import gate  # a message with a forged pass starts at the beginning

    returned = []
    for message in batch:
        case = Case(email.describe(message, backend), settings)
        board = loop.run(partial(_board, settings))
        judged = passes.has_pass(message, board.salt)
        with passes.taken_off([message]):
            if not judged:
                returned.append(gate.send_messages(backend, inner, [message]))
            elif ruling := board.ruling(case.dispatch.notification.type, settings):
                loop.run(partial(_keep, case, ruling))
                returned.append(0)
            else:
                with handover.of(message):
                    returned.append(inner([message]))
    return combined(returned)


def _keep(case: Case, ruling: switchboard.Ruling) -> None:
    decision = Decision(ruling.sending, "switch", str(ruling), by_person=True)
    ledger.note(case.stopped(decision), case.freeze())


def _board(settings: Settings) -> switchboard.Board:
    if light.applies(settings):
        return switchboard.NO_LEDGER
    try:
        board = switchboard.board()
        if switchboard.generation_now() != board.generation:
            board = switchboard.board(fresh=True)
        return board
    except DatabaseError:
        return switchboard.last_known()
