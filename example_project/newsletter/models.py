"""Subscribers, issues, and which subscriber has been sent which issue."""

from django.db import models


class Subscriber(models.Model):
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.email


class Issue(models.Model):
    subject = models.CharField(max_length=200)
    body = models.TextField()

    def __str__(self) -> str:
        return self.subject


class Mailing(models.Model):
    """One issue to one subscriber."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="mailings")
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="mailings")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("issue", "subscriber"), name="one_mailing_each"),
        )

    def __str__(self) -> str:
        return f"{self.issue} to {self.subscriber}: {self.status}"
