"""What one Django lets a message hold and another does not."""

from __future__ import annotations

from email.charset import Charset
from typing import Any

import django

from notifyguard.exceptions import CannotThaw

# Django 6 took these hooks away and refuses to render a message that has one.
_SUBTYPES = {"mixed_subtype": "mixed", "alternative_subtype": "alternative"}


def fit_for_this_django(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a message as this Django can render them.

    Raises:
        CannotThaw: it cannot.
    """
    if django.VERSION < (6, 0):
        return state
    state = {name: value for name, value in state.items() if _SUBTYPES.get(name) != value}
    if hooks := sorted(_SUBTYPES.keys() & state.keys()):
        raise CannotThaw(
            f"The message sets {hooks[0]} = {state[hooks[0]]!r}, which Django 6 cannot render. "
            "Release it under Django 5.2, or discard it."
        )
    if isinstance(charset := state.get("encoding"), Charset):
        # Django 6 takes names only.
        state["encoding"] = charset.output_charset
    return state
