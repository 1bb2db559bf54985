"""Tickets that mail their owner whenever they are saved, as in the incident."""

from typing import Any

from django.core.mail import send_mail
from django.db import models

import notifyguard

ANNOUNCEMENT = "ticket.announcement"


class Ticket(models.Model):
    owner = models.EmailField()
    complexity = models.PositiveSmallIntegerField(null=True)

    class Meta:
        app_label = "migrating"

    def __str__(self) -> str:
        return f"the ticket of {self.owner}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        send_mail("Your ticket was modified", "Look at it.", None, [self.owner])


def assess_all() -> None:
    """Change and save every ticket."""
    for ticket in Ticket.objects.order_by("pk"):
        ticket.complexity = 1
        ticket.save()


def inform_owners() -> None:
    """Tell every owner, once, by a key."""
    for ticket in Ticket.objects.order_by("pk"):
        with notifyguard.notification(ANNOUNCEMENT, key=f"complexity:{ticket.pk}"):
            send_mail("Tickets have a complexity", "Look at yours.", None, [ticket.owner])
