"""The gate: every message on its way out passes here. READ THIS FILE FIRST.

    describe   what is it, whom does it go to, who sends it
    decide     may it leave, recipient by recipient
    claim      take its keys, so that nobody else sends it
    mark       commit the point of no return
    deliver    hand it to the backend
    confirm    write down what came of it

``send_messages`` decides which of the ways through the gate a call takes; the
ordinary one is ``inline``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from notifyguard import conf, database
from notifyguard.channels import passes
from notifyguard.channels.transport import has_sent_on_return
from notifyguard.database import Standing
from notifyguard.gate import (
    borrowed,
    handover,
    inline,
    light,
    loop,
    second_stop,
    transactional,
)
from notifyguard.gate.passage import Passage

__all__ = ["send_messages"]

Inner = Callable[[Any], Any]


def send_messages(backend: Any, inner: Inner, messages: Any) -> Any:
    """Judge messages that are about to reach a backend, and hand over those that may.

    Args:
        backend: the backend instance whose ``send_messages`` was called.
        inner: calls the original method, with a list of messages.
        messages: what the caller passed.

    Returns:
        What the backend returns; 0 when nothing was handed over.

    Raises:
        Exception: what the backend raises, unchanged.
        LedgerUnavailable: the ledger cannot be reached; nothing was sent.
        InTransaction: a type that must not be sent inside ``atomic()`` was.
    """
    settings = conf.current()
    batch = list(messages) if messages else []
    given = messages if isinstance(messages, (list, tuple)) else batch
    if not batch or (handover.covers(batch) and not has_sent_on_return(inner)):
        return inner(given)
    if settings.mode == "bypass" or handover.covers(batch):
        with passes.taken_off(batch):
            return inner(given)
    if light.applies(settings):
        return light.send(backend, inner, batch, given)
    borrowed.watch()
    if any(passes.claims_pass(message) for message in batch):
        return loop.run(partial(second_stop.send, backend, inner, batch, settings))
    return loop.run(partial(_take_way, Passage(backend, inner, settings), batch))


def _take_way(passage: Passage, batch: list[Any]) -> Any:
    inside = database.standing() is Standing.CALLER
    return (transactional if inside else inline).send(passage, batch)
