"""Backends that only look like one, for settings that name them by their dotted path."""

from __future__ import annotations

from typing import Any


class Duck:
    """A backend without Django's base class."""

    def __init__(self, **options: Any) -> None:
        pass

    def send_messages(self, messages: Any) -> int:
        return len(messages)


class Teal:
    """Made by a function only, so that no setting names its class."""

    def send_messages(self, messages: Any) -> int:
        return len(messages)


def make_teal(**options: Any) -> Teal:
    """``EMAIL_BACKEND`` may name a function as well."""
    return Teal()
