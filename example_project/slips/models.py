"""School slips that parents get by mail, and the queue that the platform sends them through."""

from django.db import models


class Slip(models.Model):
    email = models.EmailField()
    text = models.TextField()
    sent = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"slip {self.pk} to {self.email}"


class Job(models.Model):
    """One order to send one slip. Whoever publishes in doubt publishes again."""

    slip = models.ForeignKey(Slip, on_delete=models.CASCADE, related_name="jobs")
    worker = models.CharField(max_length=20, blank=True, default="")
    done = models.BooleanField(default=False)

    class Meta:
        # A worker asks for the oldest that waits, however many were worked off before it.
        indexes = (models.Index(fields=("worker", "done", "id"), name="slips_job_waiting"),)

    def __str__(self) -> str:
        return f"job {self.pk} for slip {self.slip_id}"
