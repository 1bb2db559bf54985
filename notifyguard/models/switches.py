"""What is stopped, and to whom nothing is sent."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from notifyguard.decision import Sending

SENDING_CHOICES = [(sending.value, sending.value) for sending in Sending]


class Control(models.Model):
    """The one row that switches and marks exclude each other on."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    generation = models.BigIntegerField(
        help_text=_(
            "Random, and new with each change of a switch: a counter would repeat after a restore."
        )
    )
    salt = models.CharField(
        max_length=64,
        help_text=_("Enters every key. Never rotated: rotation would reopen every key."),
    )
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("control row")
        verbose_name_plural = _("control row")

    def __str__(self) -> str:
        return f"generation {self.generation}"


class Switch(models.Model):
    """A person's word on a type pattern, or on everything."""

    pattern = models.CharField(max_length=200, default="*")
    everything = models.BooleanField(
        default=False, help_text=_("Critical types too: the kill switch.")
    )
    sending = models.CharField(max_length=10, choices=SENDING_CHOICES)
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("set_switches", _("Can set and take away switches"))]
        verbose_name = _("switch")
        verbose_name_plural = _("switches")
        ordering = ["-everything", "pattern"]
        # One for each pattern, which whoever sets one sees to, under the lock of the control
        # row: MariaDB takes "ticket.Modified" and "ticket.modified" for one.

    def __str__(self) -> str:
        return f"{'everything' if self.everything else self.pattern}: {self.sending}"


class BlockedAddress(models.Model):
    """An address that nothing is sent to, save what a person waits for."""

    # Of the address, since MariaDB takes "jose" and "josé" for one.
    id = models.UUIDField(primary_key=True)
    address = models.CharField(max_length=320)
    everything = models.BooleanField(default=False, help_text=_("Critical types too."))
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    blocked_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("block_addresses", _("Can block and unblock addresses"))]
        verbose_name = _("blocked address")
        verbose_name_plural = _("blocked addresses")
        ordering = ["-blocked_at"]
        indexes = [
            models.Index(
                fields=["address"],
                name="notifyguard_blocked",
                opclasses=["varchar_pattern_ops"],
            ),
        ]

    def __str__(self) -> str:
        return self.address
