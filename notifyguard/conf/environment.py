"""The switch of one process: the environment variable ``NOTIFYGUARD_SENDING``."""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Any, Literal, cast

from notifyguard.conf.problems import Place, UnusableError, log_once
from notifyguard.conf.readers import one_of

VARIABLE = "NOTIFYGUARD_SENDING"
_CHOICES = ("open", "hold", "discard")
_read = one_of(*_CHOICES)

# To miss in os.environ raises and catches within, which costs more than all the
# rest of a switch check. The dict below it says "not there" ten times sooner.
_variables: Container[Any] = getattr(os.environ, "_data", os.environ)
_key: Any = VARIABLE if _variables is os.environ else os.environ.encodekey(VARIABLE)


def sending() -> Literal["open", "hold", "discard"]:
    """The switch as it stands now; unset or empty is "open", anything unknown is "hold"."""
    written = _written()
    if written in _CHOICES:
        return cast('Literal["open", "hold", "discard"]', written)
    log_once(*place().problems)
    return "hold"


def place() -> Place:
    """The variable as a place of the settings, with what is wrong with it now."""
    place = Place(f"The environment variable {VARIABLE}", "all mail of this process")
    written = _written()
    try:
        _read(written, place)
    except UnusableError as error:
        place.reject(written, str(error), stops=True)
    return place


def _written() -> str:
    return (os.environ.get(VARIABLE) if _key in _variables else None) or "open"
