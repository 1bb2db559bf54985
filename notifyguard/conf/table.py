"""A class whose fields are the settings: what is not a field of it is no setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from notifyguard.conf import readers
from notifyguard.conf.problem import Kind, Place, UnusableError, did_you_mean

T = TypeVar("T")


def setting(default: T, read: readers.Reader[T], *, stops: bool = False) -> T:
    """A setting, how it is read, and whether a broken one may hide a stop, so that mail is held."""
    # A factory, since dataclasses refuse a dict as a default; nobody writes to what it returns.
    return field(default_factory=lambda: default, metadata={"read": read, "stops": stops})


def settings_of(cls: type[Any]) -> dict[str, Field[Any]]:
    """The fields of ``cls`` that are settings, by the name they are written with."""
    return {cls.spelled(field.name): field for field in fields(cls) if "read" in field.metadata}


def read_table(cls: type[Any], written: Mapping[Any, Any], place: Place) -> dict[str, Any]:
    """What of ``written`` can be used for ``cls``; what cannot is reported and left out."""
    known = settings_of(cls)
    values = {}
    for name, value in written.items():
        found = known.get(name)
        if found is None:
            _report_unknown(name, cls, place)
            continue
        try:
            values[found.name] = found.metadata["read"](value, place.at(name))
        except UnusableError as error:
            place.at(name).reject(value, str(error), stops=found.metadata["stops"])
    return values


def _report_unknown(name: object, cls: type[Any], place: Place) -> None:
    known = settings_of(cls)
    text = f"{place.at(name).path} is not a setting of this version of notifyguard."
    if name in cls.later:
        place.report(Kind.UNKNOWN, text, "Take it out.", stops=cls.later[name])
    elif likely := did_you_mean(name, known):
        fix = f'Did you mean "{likely}"?'
        place.report(Kind.UNKNOWN, text, fix, stops=known[likely].metadata["stops"])
    else:
        fix = f"Take it out. Known are {', '.join(known)}."
        place.report(Kind.UNKNOWN, text, fix, stops=False)
