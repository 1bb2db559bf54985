"""What this process is handing over right now, so that no message is judged twice.

A backend that extends another calls its parent's ``send_messages``, which is
guarded as well. Messages that somebody else sends meanwhile (a signal receiver,
error mail) are none of these and are judged like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from notifyguard import context
from notifyguard.gate import loop

_under_way: ContextVar[tuple[Any, ...]] = ContextVar("notifyguard_under_way", default=())


def covers(messages: Sequence[Any]) -> bool:
    """Tell whether all of these messages have been judged and are being handed over."""
    judged = _under_way.get()
    return bool(judged) and all(any(message is one for one in judged) for message in messages)


def is_under_way() -> bool:
    """Tell whether anything that was judged is being handed over here."""
    return bool(_under_way.get())


@contextmanager
def of(*messages: Any) -> Iterator[None]:
    """Say that these messages are handed over inside."""
    token = _under_way.set((*_under_way.get(), *messages))
    try:
        with context.handing_over(), loop.resumed():
            yield
    finally:
        _under_way.reset(token)
