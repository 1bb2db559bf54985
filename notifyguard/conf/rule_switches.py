"""The rules that a setting may switch, by name, and how ``TYPES[…]["rules"]`` is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from notifyguard.conf.problem import Place, UnusableError, as_mapping, did_you_mean, quoted
from notifyguard.conf.readers import dotted_path, one_of

Action = Literal["off", "report", "hold"]
RuleSwitches = Mapping[str, Action]

SWITCHABLE = ("stale", "missed", "blank", "visible_recipients", "empty_body", "unrendered")
"""The built-in rules that may be switched. What a person set (a switch, ``suppressed()``,
``ALLOW_RECIPIENTS``) is none of them: a stop that another setting undoes stops nothing."""

_action = one_of("off", "report", "hold")


def rule_switches(value: Any, place: Place) -> RuleSwitches:
    """Return what each rule does, by its name or, for one of ``EXTRA_RULES``, its dotted path."""
    return {
        _name(name, place): _read(name, action, place) for name, action in as_mapping(value).items()
    }


def _read(name: str, action: Any, place: Place) -> Action:
    try:
        read: Action = _action(action, place)
    except UnusableError as error:
        raise UnusableError(f"{quoted(name)} is {quoted(action)}. {error}") from None
    return read


def _name(written: Any, place: Place) -> str:
    if written in SWITCHABLE:
        return str(written)
    try:
        return dotted_path(written, place)
    except UnusableError:
        likely = did_you_mean(written, SWITCHABLE)
        hint = f'Did you mean "{likely}"? ' if likely else ""
        raise UnusableError(
            f"{quoted(written)} is no rule that can be switched. {hint}"
            f"Known are {', '.join(SWITCHABLE)} and the paths in EXTRA_RULES."
        ) from None
