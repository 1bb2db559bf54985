"""The counting plug-in as an app; before notifyguard in the list, so beneath it."""

from __future__ import annotations

from django.apps import AppConfig

from tests.django_suites import counting


class CountingConfig(AppConfig):
    """Counts what notifyguard lets through."""

    name = "tests.django_suites"
    label = "counting"

    def ready(self) -> None:
        counting.count_reached()
