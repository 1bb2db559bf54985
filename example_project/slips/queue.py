"""The queue: a job is redelivered when its worker died, and may have been published again."""

from collections.abc import Iterator

from django.db import connection, transaction

from example_project.slips.models import Job

PREFETCHED = 4  # as many as a worker of Celery takes ahead for each of its processes


def jobs_for(worker: str) -> Iterator[Job]:
    """Yield jobs until none is left; first those that this worker held when it died.

    A job is acknowledged after it was worked on, so one whose worker is killed comes again.
    """
    Job.objects.filter(worker=worker, done=False).update(worker="")
    while taken := _take(worker):
        for job in taken:
            yield job
            Job.objects.filter(pk=job.pk).update(done=True)


def _take(worker: str) -> list[Job]:
    """Take the oldest jobs that nobody is taking at this moment."""
    with transaction.atomic():
        waiting = Job.objects.filter(worker="", done=False).order_by("pk")
        if connection.features.has_select_for_update_skip_locked:
            waiting = waiting.select_for_update(skip_locked=True)
        jobs = list(waiting[:PREFETCHED])
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(worker=worker)
    return jobs
