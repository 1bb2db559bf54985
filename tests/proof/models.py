"""What the callers write down: their intents; and the ledger of the naive protocol."""

from __future__ import annotations

from django.db import models

from tests.proof import journals


class Intent(models.Model):
    """A message that a caller means to send; ``committed`` is set in the caller's transaction."""

    slot = models.CharField(max_length=20, db_index=True)
    name = models.CharField(max_length=40)
    recipients = models.JSONField()
    mode = models.CharField(max_length=10)
    fault = models.BooleanField(default=False)
    rolls_back = models.BooleanField(default=False)
    committed = models.BooleanField(default=False)
    done = models.BooleanField(default=False)

    class Meta:
        app_label = "proof"
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name

    def entry(self) -> journals.Intent:
        return journals.Intent(
            name=self.name,
            recipients=tuple(self.recipients),
            mode=journals.Mode(self.mode),
            committed=self.committed,
            rolled_back=self.rolls_back,
            fault=self.fault,
        )


class NaiveDelivery(models.Model):
    """What most queues keep: a state for each message, set after it was sent."""

    name = models.CharField(max_length=40)
    recipient = models.CharField(max_length=320)
    state = models.CharField(max_length=10)

    class Meta:
        app_label = "proof"

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class NaiveSwitch(models.Model):
    """What most projects keep: a flag, looked at now and then."""

    stopped = models.BooleanField(default=False)

    class Meta:
        app_label = "proof"

    def __str__(self) -> str:
        return "stopped" if self.stopped else "open"
