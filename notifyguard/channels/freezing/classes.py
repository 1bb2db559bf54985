"""Which classes a stored message may come back as.

Whoever can write the table must not be able to run code by it: only a class
that already is an ``EmailMessage`` of this project comes back, and a module is
imported for it only where the project itself would import it.
"""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module
from inspect import getattr_static
from types import ModuleType
from typing import Any

from django.apps import apps
from django.core.mail import EmailMessage

from notifyguard import conf
from notifyguard.exceptions import CannotFreeze, CannotThaw

_KNOWN_MODULES = frozenset({"django.core.mail.message", "anymail.message"})


def path_of(cls: type[EmailMessage]) -> str:
    """Return the name by which ``class_at`` finds the class, ``module:qualified.name``.

    Raises:
        CannotFreeze: another process could not find it.
    """
    path = f"{cls.__module__}:{cls.__qualname__}"
    if cls.__module__ == "__main__" or _found(sys.modules.get(cls.__module__), path) is not cls:
        raise CannotFreeze(
            f"The message class {path} cannot be found by another process. "
            "Define it at the top of an importable module."
        )
    return path


def class_at(path: str) -> type[EmailMessage]:
    """Return the message class of this name.

    Raises:
        CannotThaw: it does not exist here, is not a subclass of ``EmailMessage``,
            or its module is none that may be imported.
    """
    cls = _found(_module_of(path), path)
    if not (isinstance(cls, type) and issubclass(cls, EmailMessage)):
        raise CannotThaw(
            f"The message class {path} is not there or is no EmailMessage. Put it back "
            "(under its old name, a subclass will do), or discard the message."
        )
    return cls


def _module_of(path: str) -> ModuleType:
    name = path.partition(":")[0]
    if module := sys.modules.get(name):
        return module
    if not _may_import(name, path):
        raise CannotThaw(
            f"The message class {path} is neither imported nor part of an installed app. "
            f"Add {path.replace(':', '.')!r} to NOTIFYGUARD['FROZEN_CLASSES']."
        )
    try:
        return import_module(name)
    except ImportError as error:
        raise CannotThaw(f"The message class {path} cannot be imported: {error}") from error


def _may_import(name: str, path: str) -> bool:
    return (
        name in _KNOWN_MODULES
        or path.replace(":", ".") in conf.current().frozen_classes
        or any(f"{name}.".startswith(f"{app.name}.") for app in apps.get_app_configs())
    )


def _found(module: ModuleType | None, path: str) -> Any:
    names = path.partition(":")[2].split(".")
    # Static: a name in a payload must not set off a module's or an object's __getattr__.
    return reduce(lambda found, name: getattr_static(found, name, None), names, module)
