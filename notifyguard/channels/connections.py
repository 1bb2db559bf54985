"""Connecting again, later and elsewhere, to the backend a message was meant for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core import mail
from django.utils.module_loading import import_string


@contextmanager
def connected(label: str) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """Yield a backend and its ``send_messages``, which what is being handed over passes.

    Args:
        label: as ``email.label_of`` gave it: an alias of ``MAILERS`` or a dotted path.

    Raises:
        ImportError: the backend's class is gone.
    """
    backend = _backend(label)
    # Not the method under all its wrappers: a project may have put one there, under ours.
    yield backend, backend.send_messages


def _backend(label: str) -> Any:
    mailers = getattr(mail, "mailers", None)
    if mailers is not None:
        return mailers[label] if label in mailers else _without_alias(label, mailers)
    return mail.get_connection(label)


def _without_alias(label: str, mailers: Any) -> Any:
    # Queued over a hand-made connection, or before MAILERS was set.
    default = mailers.default
    cls = import_string(label)
    return default if type(default) is cls else cls()
