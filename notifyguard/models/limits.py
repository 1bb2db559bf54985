"""What limits count."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class LimitCounter(models.Model):
    """What one pattern's limits count, for one recipient or for all together.

    Locked while it is counted, so that of processes that race exactly as many pass as may.
    """

    counter = models.UUIDField(primary_key=True)
    total = models.PositiveBigIntegerField(help_text=_("The place of its last entry."))
    used_at = models.BigIntegerField(
        db_index=True, help_text=_("Microseconds since 1970, by the database's clock.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("limit counter")
        verbose_name_plural = _("limit counters")

    def __str__(self) -> str:
        return str(self.counter)


class LimitEntry(models.Model):
    """One delivery that a limit let go, at its place in the counter's log.

    A limit of 5 in an hour asks one entry alone: the one five places from the end.
    """

    counter = models.UUIDField()
    place = models.PositiveBigIntegerField()
    delivery = models.UUIDField()
    at = models.BigIntegerField(
        db_index=True, help_text=_("Microseconds since 1970, by the database's clock.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("limit entry")
        verbose_name_plural = _("limit entries")
        indexes = [models.Index(fields=["counter", "place"], name="notifyguard_limit_place")]

    def __str__(self) -> str:
        return f"{self.counter}: {self.place}"
