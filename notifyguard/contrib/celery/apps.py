"""The Django app of the Celery integration."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotifyguardCeleryConfig(AppConfig):
    """Stands at every publish of a task message, and at every task that runs."""

    name = "notifyguard.contrib.celery"
    label = "notifyguard_celery"
    verbose_name = _("notifyguard for Celery")
    default_auto_field = "django.db.models.BigAutoField"
    notifyguard_subcommands = "notifyguard.contrib.celery.subcommands"

    def ready(self) -> None:
        # The tasks are shared ones: every app has them, also one that discovers none.
        from notifyguard import sweeper
        from notifyguard.contrib.celery import checks, due, pulses, seam, tasks  # noqa: F401

        checks.register()
        seam.install()
        pulses.install()
        # Where beat is dead too; it needs no worker.
        sweeper.do_too("spooled tasks published", due.publish_due)
