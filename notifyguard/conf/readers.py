"""How each kind of value is read: a reader returns it, or raises UnusableError with the fix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from notifyguard.conf.problem import Place, UnusableError, did_you_mean, quoted
from notifyguard.notification import LONGEST_AGE

T = TypeVar("T")
Reader = Callable[[Any, Place], T]

LONGEST_LEASE = 86_400
LONGEST_RETENTION = 36_500
HIGHEST_CAP = 10**15


def one_of(*choices: Any) -> Reader[Any]:
    """A reader for one of ``choices``, which it returns: an enum's member for its text."""

    def read(value: Any, place: Place) -> Any:
        for choice in choices:
            # 1 == True, but whoever wrote 1 meant something else.
            if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                return choice
        likely = did_you_mean(value, [choice for choice in choices if isinstance(choice, str)])
        hint = f"Did you mean {quoted(likely)}? " if likely else ""
        offered = ", ".join(quoted(choice) for choice in choices if choice is not None)
        raise UnusableError(f"{hint}Write one of {offered}.")

    return read


def seconds(value: Any, place: Place) -> int:
    if type(value) is int and 1 <= value <= LONGEST_LEASE:
        return value
    raise UnusableError(f"Write whole seconds from 1 to {LONGEST_LEASE}.")


def days(value: Any, place: Place) -> timedelta:
    # NaN is in no range, so it is refused here too.
    if type(value) in (int, float) and 0 < value <= LONGEST_RETENTION:
        return timedelta(days=value)
    raise UnusableError(f"Write a number of days, more than 0 and at most {LONGEST_RETENTION}.")


def age(value: Any, place: Place) -> timedelta | None:
    """A reader for how old or long something may get; ``None`` for no limit."""
    if value is None or (isinstance(value, timedelta) and timedelta(0) < value <= LONGEST_AGE):
        return value
    raise UnusableError(
        "Write a timedelta, such as timedelta(hours=2), more than 0 and at most "
        f"{LONGEST_AGE.days} days, or None for no limit."
    )


def cap(value: Any, place: Place) -> int | None:
    """A reader for how much there may be; ``None`` for as much as there is room for."""
    if value is None or (type(value) is int and 1 <= value <= HIGHEST_CAP):
        return value
    raise UnusableError(f"Write a whole number from 1 to {HIGHEST_CAP:,}, or None for no cap.")


def name(value: Any, place: Place) -> str:
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise UnusableError("Write a name in quotes.")


def template(value: Any, place: Place) -> str | None:
    """A reader for the beginning of the names of some templates."""
    if value is None or (isinstance(value, str) and value.strip() and value.isprintable()):
        return value
    raise UnusableError('Write the beginning of template names, such as "tickets/digest", or None.')


def dotted_path(value: Any, place: Place) -> str:
    if isinstance(value, str):
        parts = value.split(".")
        if len(parts) > 1 and all(part.isidentifier() for part in parts):
            return value
    raise UnusableError('Write a dotted path, such as "project.module.name".')


def dotted_path_or_callable(value: Any, place: Place) -> str | Callable[[], str] | None:
    return value if value is None or callable(value) else dotted_path(value, place)


def several(read: Reader[str]) -> Reader[tuple[str, ...]]:
    """A reader for a list of what ``read`` reads. One bad item spoils the list."""

    def read_all(value: Any, place: Place) -> tuple[str, ...]:
        # A string is iterable too: "a.b" would be read as three items.
        if not isinstance(value, (list, tuple)):
            raise UnusableError("Write a list.")
        return tuple(read_item(index, item, place) for index, item in enumerate(value))

    def read_item(index: int, item: Any, place: Place) -> str:
        try:
            return read(item, place)
        except UnusableError as error:
            raise UnusableError(f"Item {index} is {quoted(item)}. {error}") from None

    return read_all
