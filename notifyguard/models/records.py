"""What was done, by people and by what runs for ever."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Event(models.Model):
    """What a person did, when and why; only ever appended."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    before = models.CharField(max_length=200, blank=True, default="")
    after = models.CharField(max_length=200, blank=True, default="")
    count = models.PositiveIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["action", "id"], name="notifyguard_event_action"),
            models.Index(fields=["actor", "id"], name="notifyguard_event_actor"),
            models.Index(fields=["subject", "id"], name="notifyguard_event_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject} by {self.actor}"


class Sweep(models.Model):
    """When the sweeper last ran, and how far it has examined the ledger."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    ran_at = models.DateTimeField()
    examined_until = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M:%S}"


class Heartbeat(models.Model):
    """When a process that is meant to run for ever was last heard."""

    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=200)
    heard_at = models.DateTimeField()
    every = models.PositiveIntegerField(help_text=_("Seconds between two."))
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it ended because it was told to.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="notifyguard_heartbeat_name")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.heard_at:%Y-%m-%d %H:%M:%S}"


class Alert(models.Model):
    """When somebody was last told that messages of a type are held by a rule."""

    type = models.CharField(max_length=200)
    rule = models.CharField(max_length=50)
    told_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["type", "rule"], name="notifyguard_alert_type_rule")
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.rule}"
