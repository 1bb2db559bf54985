"""Do the dotted paths in the settings lead anywhere? Asked by the system checks only.

Not while sending: the settings are read before all apps are ready, and a
project's module may import one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import Any

from django.core.mail import EmailMessage

from notifyguard.conf.problem import Kind, Place, Problem
from notifyguard.conf.schema import Settings


def unimportable(known: Settings) -> list[Problem]:
    """The dotted paths in ``known`` that name nothing, or nothing that fits."""
    root = Place("NOTIFYGUARD")
    for place, path, fits, wanted in _paths(known, root):
        try:
            found = resolve_name(path)
        except Exception as error:  # a project's module may raise anything
            text = f'{place.path} is "{path}", which cannot be imported: {error}'
            place.report(Kind.NOT_IMPORTABLE, text, "Correct the path.", stops=False)
        else:
            if not fits(found):
                text = f'{place.path} is "{path}", which is not {wanted}.'
                place.report(Kind.NOT_IMPORTABLE, text, f"Name {wanted}.", stops=False)
    return root.problems


def _paths(known: Settings, root: Place) -> Iterator[tuple[Place, str, Callable[[Any], bool], str]]:
    for path in known.extra_rules:
        yield root.at("EXTRA_RULES"), path, callable, "a rule"
    for path in known.frozen_classes:
        yield root.at("FROZEN_CLASSES"), path, _is_message_class, "a subclass of EmailMessage"
    place = root.at("LIMITER").at("BACKEND")
    yield place, known.limiter.backend, _is_limiter_class, "a class that limits (see limits.md)"
    if isinstance(known.namespace, str):
        yield root.at("NAMESPACE"), known.namespace, callable, "a callable"


def _is_message_class(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, EmailMessage)


def _is_limiter_class(found: Any) -> bool:
    return isinstance(found, type) and all(hasattr(found, name) for name in ("acquire", "refund"))
