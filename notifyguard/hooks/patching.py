"""Replacing attributes of Django, each once, and putting every one of them back.

What was there before is kept on the replacement itself: a table of classes and
originals would keep every backend class that a test defines alive for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

_MARK: Final = "_notifyguard_mark"
_ABSENT: Final = object()
_places: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a replacement stands for.

    It names the replacement, because ``functools.wraps`` copies attributes: a
    user's wrapper around ours would otherwise pass for ours.
    """

    replacement: object
    original: object


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace what ``owner`` itself, and not a base of it, holds under ``name``.

    The original is read once: of two threads that replace it at the same time the
    later one wins, and neither takes the other's replacement for the original.

    Args:
        owner: a class or module.
        name: the attribute.
        make: makes the replacement out of the original, or of ``None``.
    """
    original = vars(owner).get(name, _ABSENT)
    replacement = make(None if original is _ABSENT else original)
    vars(replacement)[_MARK] = _Mark(replacement, original)
    setattr(owner, name, replacement)
    _places.setdefault(owner, set()).add(name)


def is_ours(attribute: object) -> bool:
    """Return whether the attribute was put in place by ``replace``."""
    return _mark_of(attribute) is not None


def restore() -> None:
    """Undo every ``replace``, save where somebody has put something over ours since."""
    for owner, name in list(_replaced()):
        mark = _mark_of(vars(owner).get(name))
        if mark is None:
            continue
        if mark.original is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, mark.original)
    _places.clear()


def installed() -> bool:
    """Return whether anything is replaced: a wrapper kept by someone else is inert after."""
    return bool(_places)


def bound(attribute: Any, instance: object) -> Any:
    """Return a class's attribute as ``instance.attribute`` would be, whatever its kind."""
    getter = getattr(type(attribute), "__get__", None)
    return attribute if getter is None else getter(attribute, instance, type(instance))


def _replaced() -> Iterator[tuple[Any, str]]:
    for owner, names in _places.items():
        for name in names:
            yield owner, name


def _mark_of(attribute: object) -> _Mark | None:
    # Through __dict__: a Mock has every attribute it is asked for.
    mark = getattr(attribute, "__dict__", {}).get(_MARK)
    return mark if isinstance(mark, _Mark) and mark.replacement is attribute else None
