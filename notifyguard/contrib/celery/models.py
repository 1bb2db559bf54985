"""The table of the Celery integration. Who writes it: ``spool`` and ``spooled``, nobody else."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SpooledTask(models.Model):
    """A task message that waits here until it is due, since its broker cannot hold it so long.

    ``publish_at`` says when a publisher must look at the row: when the task is due, and
    later if one has taken it or could not publish it.
    """

    app = models.CharField(max_length=200, help_text=_("The Celery app that publishes it."))
    task_id = models.CharField(max_length=255, db_index=True)
    name = models.CharField(max_length=255)
    due_at = models.DateTimeField(help_text=_("Its ETA."))
    publish_at = models.DateTimeField(db_index=True)
    # Of whoever publishes it now; nobody else has it before ``publish_at``.
    taken_by = models.UUIDField(null=True, blank=True)
    spooled_at = models.DateTimeField()
    call_site = models.CharField(max_length=200, blank=True, default="")
    note = models.CharField(
        max_length=500, blank=True, default="", help_text=_("Why it could not be published.")
    )
    message = models.TextField(help_text=_("The whole message, as it was on its way."))

    class Meta:
        default_permissions = ("view",)
        permissions = [("cancel_spooled", _("Can cancel spooled tasks"))]
        verbose_name = _("spooled task")
        verbose_name_plural = _("spooled tasks")
        ordering = ["publish_at", "id"]
        indexes = [
            models.Index(fields=["app", "publish_at"], name="notifyguard_spool_app"),
            models.Index(fields=["name", "publish_at"], name="notifyguard_spool_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.task_id}"
