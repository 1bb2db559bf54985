"""``settings.NOTIFYGUARD``, read at send time and never written to.

A bad setting never breaks sending: what cannot be used falls back to its
default, and where it may have hidden a stop, mail is held. Every problem is
logged once at ERROR and reported by the system checks.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.functional import empty

from notifyguard.conf import environment
from notifyguard.conf.celery import CelerySettings
from notifyguard.conf.importing import unimportable
from notifyguard.conf.limiter import LimiterSettings
from notifyguard.conf.limits import Limit
from notifyguard.conf.problem import Kind, Place, Problem, UnusableError, as_mapping, log_once
from notifyguard.conf.retries import MOST_ATTEMPTS, Retries
from notifyguard.conf.rule_switches import SWITCHABLE, Action
from notifyguard.conf.schema import (
    InTransaction,
    Mode,
    Retention,
    Settings,
    TypeOptions,
)
from notifyguard.conf.table import read_table
from notifyguard.decision import Sending

__all__ = [
    "MOST_ATTEMPTS",
    "SWITCHABLE",
    "Action",
    "CelerySettings",
    "InTransaction",
    "Kind",
    "Limit",
    "LimiterSettings",
    "Mode",
    "Problem",
    "Retention",
    "Retries",
    "Settings",
    "TypeOptions",
    "current",
    "problems",
    "read",
]

NAME = "NOTIFYGUARD"

# Where Django's lazy ``settings`` keep what is behind them, through override_settings
# too: to ask themselves costs a call of Python code, and ten times as much for what is missing.
_lazy: dict[str, Any] = object.__getattribute__(settings, "__dict__")

# What was written when the settings were last read, and what came of it: one
# tuple, so that a thread sees both or neither.
_latest: tuple[Any, Settings] = (empty, Settings())


def current() -> Settings:
    """The settings as they stand now.

    Cheap enough for every message: as long as nothing was changed it costs one
    comparison of dicts. A change of ``settings.NOTIFYGUARD``, inside the dict
    too, is seen by the next call. Never raises for what was written there.
    """
    seen, known = _latest
    if getattr(_lazy["_wrapped"], NAME, None) == seen:
        return known
    return _read_anew()


def problems() -> list[Problem]:
    """All that is wrong with the settings, for the system checks.

    Unlike ``current()`` this imports what dotted paths name and looks at the
    environment and at ``DATABASES``. It opens no connection.
    """
    known = current()
    return [
        *known.problems,
        *environment.problems(),
        *_unknown_database(known.database),
        *unimportable(known),
    ]


def read(written: Any) -> Settings:
    """Read ``written``, the value of ``settings.NOTIFYGUARD``."""
    place = Place(NAME)
    try:
        values = read_table(Settings, as_mapping(written), place)
    except UnusableError as error:
        place.reject(written, str(error), stops=True)
        values = {}
    # What stops only some types is already in their own options.
    if any(problem.held == place.scope for problem in place.problems):
        values["sending"] = Sending.HOLD
    return Settings(**values, problems=tuple(place.problems))


def _read_anew() -> Settings:
    global _latest
    written = _copy(getattr(settings, NAME, None))
    known = read({} if written is None else written)
    _latest = written, known
    log_once(*known.problems)
    return known


def _copy(written: Any, depth: int = 4) -> Any:
    """The containers of ``written`` copied, as deep as settings go; all else is the same object."""
    if depth and isinstance(written, dict):
        # A copy first, in one step: another thread may be changing the original.
        return {key: _copy(value, depth - 1) for key, value in written.copy().items()}
    if depth and isinstance(written, list):
        return [_copy(value, depth - 1) for value in written.copy()]
    return written


def _unknown_database(alias: str) -> list[Problem]:
    place = Place(NAME).at("DATABASE")
    if alias not in settings.DATABASES:
        text = f'{place.path} is "{alias}", which is not in DATABASES.'
        fix = f"Write one of {', '.join(settings.DATABASES)}. Until then nothing can be recorded."
        place.report(Kind.NO_DATABASE, text, fix, stops=False)
    return place.problems
