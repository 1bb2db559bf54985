"""Queues with functions of their own, which never call a backend when they queue.

Found among the installed apps, so that nobody has to name them twice; what is known of
each stands in ``notifyguard.contrib``.
"""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

KNOWN = {"mailer": ("models", "email_to_db"), "post_office": ("mail", "create")}
"""Their apps, each with the module and the function by which it makes what it queues."""


def install() -> None:
    """Have those that are installed note what they queue; to call it again changes nothing."""
    for app, (module, function) in KNOWN.items():
        if apps.is_installed(app) and _has(app, module, function):
            import_module(f"notifyguard.contrib.{app}").install()


def _has(app: str, module: str, function: str) -> bool:
    """Tell a queue from an app of the project's own that is called the same: "mailer" is common."""
    found = module_has_submodule(import_module(app), module)
    return found and hasattr(import_module(f"{app}.{module}"), function)
