"""The plug-in that counts messages: an app loaded before notifyguard, so beneath it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.mail.backends.base import BaseEmailBackend

from tests.django_suites.report import Report

report = Report()
_depth = threading.local()


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


def _count_class(cls: type) -> None:
    original = vars(cls).get("send_messages")
    if original is not None:
        cls.send_messages = _counted(original, "reached", position=1)  # type: ignore[attr-defined]


def _counted(original: Callable[..., Any], counter: str, position: int) -> Callable[..., Any]:
    @functools.wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        messages = args[position] if len(args) > position else next(iter(kwargs.values()), ())
        with _outermost(counter) as outermost:
            if outermost and hasattr(messages, "__len__"):
                setattr(report, counter, getattr(report, counter) + len(messages))
            return original(*args, **kwargs)

    return counted


@contextmanager
def _outermost(counter: str) -> Iterator[bool]:
    """Tell whether this call is not made by another one: a backend may call its base's."""
    depth = getattr(_depth, counter, 0)
    setattr(_depth, counter, depth + 1)
    try:
        yield depth == 0
    finally:
        setattr(_depth, counter, depth)
