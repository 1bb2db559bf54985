"""The switch of one process: the environment variable ``NOTIFYGUARD_SENDING``.

A ``NOTIFYGUARD_SUPPRESS`` that cannot be read holds the process too, whatever this one says.
"""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Any

from notifyguard import inherited
from notifyguard.conf.problem import Place, Problem, UnusableError, log_once
from notifyguard.conf.readers import one_of
from notifyguard.decision import Sending

VARIABLE = "NOTIFYGUARD_SENDING"
_read = one_of(*Sending)

# To miss in os.environ raises and catches within, which costs more than all the
# rest of a switch check. The dict below it says "not there" ten times sooner.
_variables: Container[Any] = getattr(os.environ, "_data", os.environ)
_key: Any = VARIABLE if _variables is os.environ else os.environ.encodekey(VARIABLE)
# It may have been meant for anything, so everything is stopped; held and not discarded,
# since what was not meant must not be lost to a typing mistake.
_unreadable = Sending.HOLD if inherited.fault() else None


def sending() -> Sending | None:
    """The switch as it stands now: None if unset or empty, "hold" if it cannot be read."""
    if _unreadable or _key not in _variables:
        return _unreadable
    place = _place(VARIABLE)
    switch = _switch(place)
    log_once(*place.problems)
    return switch


def problems() -> list[Problem]:
    """What is wrong with the variable now."""
    place = _place(VARIABLE)
    _switch(place)
    suppress = _place(inherited.VARIABLE)
    if fault := inherited.fault():
        suppress.reject(os.environ.get(inherited.VARIABLE), fault, stops=True)
    return [*place.problems, *suppress.problems]


def say_so() -> None:
    """Log what a process was started with that keeps its mail back."""
    if inherited.fault():
        log_once(*problems())
    inherited.say_so()


def _switch(place: Place) -> Sending | None:
    written = os.environ.get(VARIABLE)
    if not written:
        return None
    try:
        switch: Sending = _read(written, place)
    except UnusableError as error:
        place.reject(written, str(error), stops=True)
        return Sending.HOLD
    return switch


def _place(variable: str) -> Place:
    return Place(f"The environment variable {variable}", "all mail of this process")
