"""What a worker does with a job, with the check of incident D that does not hold under load."""

from django.core.mail import send_mail

from example_project.slips.models import Job
from notifyguard import notification

SUBJECT = "School slip"


def send_slip(job: Job) -> None:
    """Mail the slip unless it was sent: another worker may be sending it this moment.

    The key says what must happen once. Without notifyguard in ``INSTALLED_APPS`` nobody
    reads it.
    """
    slip = job.slip
    if slip.sent:
        return
    with notification("slip.published", key=f"slip:{slip.pk}"):
        send_mail(f"{SUBJECT} {slip.pk}", slip.text, None, [slip.email])
    slip.sent = True
    slip.save(update_fields=["sent"])
