"""What one Django lets a message hold and another does not."""

from __future__ import annotations

from email.charset import Charset
from email.message import Message
from typing import Any

import django

from notifyguard.channels.freezing.mime import as_attachment
from notifyguard.exceptions import CannotThaw

# Django 6 took these hooks away and refuses to render a message that has one.
_SUBTYPES = {"mixed_subtype": "mixed", "alternative_subtype": "alternative"}


def fit_for_this_django(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a message as this Django can render them.

    Raises:
        CannotThaw: it cannot.
    """
    if parts := state.get("attachments"):
        state["attachments"] = [
            as_attachment(part) if isinstance(part, Message) else part for part in parts
        ]
    return state if django.VERSION < (6, 0) else _without_charset(_without_subtypes(state))


def _without_subtypes(state: dict[str, Any]) -> dict[str, Any]:
    # The default says nothing, so it may go.
    state = {k: v for k, v in state.items() if k not in _SUBTYPES or v != _SUBTYPES[k]}
    if hooks := sorted(_SUBTYPES.keys() & state.keys()):
        raise CannotThaw(
            f"The message sets {hooks[0]} = {state[hooks[0]]!r}, which Django 6 cannot render. "
            "Release it under Django 5.2, or discard it."
        )
    return state


def _without_charset(state: dict[str, Any]) -> dict[str, Any]:
    """Name the character set: Django 6 takes the object no more."""
    if isinstance(charset := state.get("encoding"), Charset):
        state["encoding"] = charset.output_charset
    return state
