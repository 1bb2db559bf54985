"""Queues with functions of their own, which never call a backend when they queue.

Found among the installed apps, so that nobody has to name them twice; what is known of
each stands in ``notifyguard.contrib``.
"""

from __future__ import annotations

from importlib import import_module

from django.apps import apps

KNOWN = ("mailer", "post_office")


def install() -> None:
    """Have those that are installed note what they queue; to call it again changes nothing."""
    for app in filter(apps.is_installed, KNOWN):
        import_module(f"notifyguard.contrib.{app}").install()
