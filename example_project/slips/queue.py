"""The queue: a job is redelivered when its worker died, and may have been published again."""

from collections.abc import Iterator

from django.db import connection, transaction

from example_project.slips.models import Job


def jobs_for(worker: str) -> Iterator[Job]:
    """Yield jobs until none is left; first those that this worker held when it died.

    A job is acknowledged after it was worked on, so one whose worker is killed comes again.
    """
    Job.objects.filter(worker=worker, done=False).update(worker="")
    while job := _next(worker):
        yield job
        Job.objects.filter(pk=job.pk).update(done=True)


def _next(worker: str) -> Job | None:
    """Take the oldest job that nobody is taking at this moment."""
    with transaction.atomic():
        waiting = Job.objects.filter(worker="", done=False).order_by("pk")
        if connection.features.has_select_for_update_skip_locked:
            waiting = waiting.select_for_update(skip_locked=True)
        if job := waiting.first():
            Job.objects.filter(pk=job.pk).update(worker=worker)
        return job
