"""Tickets, who owns them and who watches them."""

from django.conf import settings
from django.db import models


class Ticket(models.Model):
    """One piece of work. Its owner and watchers are told whenever it is saved."""

    class Status(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    title = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="owned_tickets"
    )
    watchers = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="watched_tickets", blank=True
    )
    version = models.PositiveIntegerField(default=1)
    complexity = models.PositiveSmallIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}"

    def addresses(self) -> list[str]:
        """Return the e-mail addresses of the owner and the watchers, each once."""
        people = [self.owner, *self.watchers.all()]
        return list(dict.fromkeys(person.email for person in people if person.email))
