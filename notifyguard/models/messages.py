"""Messages that are kept."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class FrozenMessage(models.Model):
    """A message kept: its parts as JSON, its binary contents beside it."""

    dispatch = models.UUIDField(primary_key=True)
    # Of the message, whoever it goes to: what cancel() finds it by.
    key = models.UUIDField(null=True, blank=True, db_index=True, db_column="idempotency_key")
    type = models.CharField(max_length=200)
    # Text and not JSON: lone surrogates, which real mail holds, have no place in jsonb.
    payload = models.TextField()
    size = models.PositiveBigIntegerField(help_text=_("Bytes, with its contents."))
    frozen_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        permissions = [("read_body", _("Can read the text of kept messages"))]
        verbose_name = _("frozen message")
        verbose_name_plural = _("frozen messages")
        # All that the caps ask is in it.
        indexes = [models.Index(fields=["type", "size"], name="notifyguard_kept")]

    def __str__(self) -> str:
        return str(self.dispatch)


class FrozenContent(models.Model):
    """A binary content of a frozen message: an attachment, an image."""

    dispatch = models.UUIDField(db_index=True)
    digest = models.CharField(max_length=64)
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        verbose_name = _("frozen content")
        verbose_name_plural = _("frozen contents")

    def __str__(self) -> str:
        return self.digest
