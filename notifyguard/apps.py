"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotifyguardConfig(AppConfig):
    """Guards every way out of Django as soon as the apps are ready."""

    name = "notifyguard"
    verbose_name = _("notifyguard")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from notifyguard import checks, hooks
        from notifyguard.conf import environment

        checks.register()
        hooks.install()
        environment.say_so()
