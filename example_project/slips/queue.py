"""The queue: a job is redelivered when its worker died, and may have been published again."""

from collections.abc import Iterator

from example_project.slips.models import Job

LOOKED_AT = 20


def jobs_for(worker: str) -> Iterator[Job]:
    """Yield jobs until none is left; first those that this worker held when it died.

    A job is acknowledged after it was worked on, so one whose worker is killed comes again.
    """
    Job.objects.filter(worker=worker, done=False).update(worker="")
    while waiting := list(Job.objects.filter(worker="", done=False).order_by("pk")[:LOOKED_AT]):
        for job in waiting:
            if Job.objects.filter(pk=job.pk, worker="").update(worker=worker):
                yield job
                Job.objects.filter(pk=job.pk).update(done=True)
