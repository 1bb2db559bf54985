"""What came of a message, for the code that sent it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from notifyguard.decision import RecipientOutcome

_outcomes: WeakKeyDictionary[Any, tuple[RecipientOutcome, ...]] = WeakKeyDictionary()


def outcome(message: Any) -> tuple[RecipientOutcome, ...]:
    """Return what happened to a message that was sent, recipient by recipient.

    Args:
        message: the object that ``send()`` was called on.

    Returns:
        One ``RecipientOutcome`` for each envelope address; empty when the message
        has not passed the gate. A message sent again shows its latest outcome. It is
        what was known when ``send()`` returned: one that was deferred to the commit stays
        ``queued`` here, whatever becomes of it; the ledger knows.
    """
    try:
        return _outcomes.get(message, ())
    except TypeError:
        return ()


def remember(message: Any, outcomes: Iterable[RecipientOutcome]) -> None:
    """Keep the outcome for as long as the message lives. Nothing is put on the message."""
    try:
        _outcomes[message] = tuple(outcomes)
    except TypeError:
        pass  # a duck-typed message that cannot be hashed or weakly referenced
