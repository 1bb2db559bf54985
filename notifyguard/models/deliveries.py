"""Every message to every recipient, and the keys that they hold."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from notifyguard.decision import State

STATE_CHOICES = [(state.value, state.value) for state in State]


class Claim(models.Model):
    """One idempotency key, taken. Narrow, since it is kept longer than deliveries.

    A claim stands for as long as its delivery may have left or may still leave;
    a proven failure deletes it and so frees the key.
    """

    # "key" is a reserved word in MariaDB.
    key = models.UUIDField(primary_key=True, db_column="idempotency_key")
    delivery = models.UUIDField()
    fingerprint = models.UUIDField(null=True)
    duplicates = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("claim")
        verbose_name_plural = _("claims")

    def __str__(self) -> str:
        return str(self.key)


class Delivery(models.Model):
    """One message to one recipient: the ledger row.

    ``wake_at`` says when the sweeper must look at the row again. It stays empty
    on the hot path (claim, mark, confirm), so that these updates touch no
    indexed column and stay HOT on PostgreSQL; such rows are found by their age.
    """

    id = models.UUIDField(primary_key=True)
    dispatch = models.UUIDField()
    key = models.UUIDField(null=True, blank=True, db_column="idempotency_key")
    fingerprint = models.UUIDField(null=True, blank=True)
    type = models.CharField(max_length=200)
    recipient = models.CharField(max_length=320)
    state = models.CharField(max_length=10, choices=STATE_CHOICES)
    attempt = models.PositiveIntegerField(default=1)
    rule = models.CharField(max_length=50, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    origin = models.CharField(max_length=10, blank=True, default="")
    call_site = models.CharField(max_length=200, blank=True, default="")
    task_id = models.CharField(max_length=155, blank=True, default="")
    instance = models.CharField(max_length=120)
    backend = models.CharField(max_length=200, blank=True, default="")
    subject = models.CharField(max_length=200, blank=True, default="")
    message_id = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(db_index=True)
    changed_at = models.DateTimeField()
    due_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was meant to leave, if not when created.")
    )
    scheduled = models.BooleanField(
        default=False, db_default=False, help_text=_("Its sender said when it is to leave.")
    )
    max_age = models.DurationField(
        null=True, blank=True, help_text=_("How late it may leave, if its message says so.")
    )
    supersedes = models.UUIDField(
        null=True, blank=True, help_text=_("Of those that wait with the same only the last leaves.")
    )
    wake_at = models.DateTimeField(null=True, blank=True, db_index=True)
    retries = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("How often it was queued again to be tried again.")
    )
    crashes = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("How many processes died that had taken it.")
    )
    doubtful = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("It is sent again, and an earlier hand-over may have left."),
    )

    class Meta:
        default_permissions = ("view",)
        permissions = [("resolve_uncertain", _("Can say what became of uncertain deliveries"))]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        indexes = [
            # The operator classes let PostgreSQL find addresses by their beginning too.
            models.Index(
                fields=["recipient", "id"],
                name="notifyguard_recipient",
                opclasses=["varchar_pattern_ops", "uuid_ops"],
            ),
            models.Index(fields=["type", "id"], name="notifyguard_type"),
            models.Index(fields=["dispatch"], name="notifyguard_dispatch"),
            models.Index(fields=["supersedes"], name="notifyguard_supersedes"),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {self.recipient}: {self.state}"
