"""Connecting again, later and elsewhere, to the backend a message was meant for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core import mail
from django.utils.module_loading import import_string

from notifyguard.exceptions import CannotConnect

_DEFAULT = "default"


def backend_of(label: str) -> tuple[Any, Callable[[Any], Any]]:
    """Return a backend, not connected, and its ``send_messages``, which a hand-over passes.

    Args:
        label: as ``email.label_of`` gave it: an alias of ``MAILERS`` or a dotted path.

    Raises:
        CannotConnect: there is no such backend here.
    """
    try:
        backend = _backend(label)
    except Exception as error:  # any: the class is the project's
        raise CannotConnect(
            f'It was meant for the mail backend "{label}", which cannot be had here '
            f"({type(error).__name__}). Put it back into the settings, then release the message."
        ) from error
    # Not the method under all its wrappers: a project may have put one there, under ours.
    return backend, backend.send_messages


def _backend(label: str) -> Any:
    mailers = getattr(mail, "mailers", None)
    if mailers is None:
        # Before Django 6.1 there are no aliases; the default one is the one there is.
        return mail.get_connection(None if label == _DEFAULT else label)
    known = label == _DEFAULT or label in mailers
    return mailers[label] if known else _without_alias(label, mailers)


def _without_alias(label: str, mailers: Any) -> Any:
    # Queued over a hand-made connection, or before MAILERS was set.
    default = mailers.default
    cls = import_string(label)
    return default if type(default) is cls else cls()
