"""The plug-in that counts messages: an app loaded before notifyguard, so beneath it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.mail.backends.base import BaseEmailBackend

from tests.django_suites.report import Report

if TYPE_CHECKING:
    from notifyguard.rules import Candidate

report = Report()
_depth = threading.local()
_latest = threading.local()


@functools.cache  # Django's runner makes apps ready twice, and once is beneath notifyguard
def count_reached() -> None:
    """Count what is handed to any backend class, now or later."""
    classes = [BaseEmailBackend]
    for cls in classes:
        _count_class(cls)
        classes += cls.__subclasses__()
    BaseEmailBackend.__init_subclass__ = classmethod(_count_class)  # type: ignore[assignment]


@functools.cache
def count_asked() -> None:
    """Count what the gate is asked about."""
    from notifyguard import gate

    gate.send_messages = _counted(gate.send_messages, "asked", position=2)


@functools.cache
def count_unready() -> None:
    """Count what cannot be handed over: built and connected for before the mark, it fails there."""
    from notifyguard.gate.passage import Passage

    original = Passage.prepare

    @functools.wraps(original)
    def prepare(*args: Any, **kwargs: Any) -> bool:
        report.unready += 1
        ready = original(*args, **kwargs)
        report.unready -= ready
        return ready

    Passage.prepare = prepare  # type: ignore[method-assign]


def count_judged(candidate: Candidate) -> None:
    """Count messages that reach the rules; a rule of ``EXTRA_RULES`` that lets all pass."""
    # The rules are asked for each recipient, one message after the other.
    if getattr(_latest, "dispatch", None) is not candidate.dispatch:
        _latest.dispatch = candidate.dispatch
        report.judged += 1


def _count_class(cls: type) -> None:
    original = vars(cls).get("send_messages")
    if original is not None:
        cls.send_messages = _counted(original, "reached", position=1)  # type: ignore[attr-defined]


def _counted(original: Callable[..., Any], counter: str, position: int) -> Callable[..., Any]:
    @functools.wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        with _outermost(counter) as outermost:
            if outermost and len(args) > position:
                args = (*args[:position], _count(args[position], counter), *args[position + 1 :])
            elif outermost:
                kwargs = {name: _count(given, counter) for name, given in kwargs.items()}
            return original(*args, **kwargs)

    return counted


def _count(messages: Any, counter: str) -> Any:
    """Return the messages, counted; those of an iterator as they are taken out of it."""
    if hasattr(messages, "__len__"):
        setattr(report, counter, getattr(report, counter) + len(messages))
        return messages
    return (message for message in messages if _count([message], counter))


@contextmanager
def _outermost(counter: str) -> Iterator[bool]:
    """Tell whether this call is not made by another one: a backend may call its base's."""
    depth = getattr(_depth, counter, 0)
    setattr(_depth, counter, depth + 1)
    try:
        yield depth == 0
    finally:
        setattr(_depth, counter, depth)
