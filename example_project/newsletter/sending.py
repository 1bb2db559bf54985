"""Send what waits, with the status check of incident C."""

from django.core.mail import send_mail

from example_project.newsletter.models import Mailing
from example_project.progress import with_progress
from notifyguard import notification


def send_waiting() -> None:
    """Send every waiting mailing and mark it as sent."""
    waiting = Mailing.objects.filter(status=Mailing.Status.WAITING).order_by("pk")
    for mailing in with_progress(list(waiting.select_related("issue", "subscriber"))):
        # The check that lost the race every time: another server sends between it and the mark.
        mailing.refresh_from_db(fields=["status"])
        if mailing.status == Mailing.Status.WAITING:
            send_one(mailing)
            mailing.status = Mailing.Status.SENT
            mailing.save(update_fields=["status"])


def send_waiting_with_hurried_fix() -> None:
    """Send as the hurried fix of the incident did: the mark now comes before the text is made."""
    waiting = Mailing.objects.filter(status=Mailing.Status.WAITING).order_by("pk")
    for mailing in with_progress(list(waiting.select_related("issue", "subscriber"))):
        mailing.status = Mailing.Status.SENT
        mailing.save(update_fields=["status"])
        send_one(mailing)


def text_of(mailing: Mailing) -> str:
    """Return what the subscriber reads; nothing more to say to whom it was sent already."""
    if mailing.status == Mailing.Status.SENT:
        return ""
    return f"Dear {mailing.subscriber.name},\n\n{mailing.issue.body}\n"


def send_one(mailing: Mailing) -> None:
    """Send one issue to one subscriber.

    The key says what must happen once: this issue, to this address. Without
    notifyguard in ``INSTALLED_APPS`` nobody reads it.
    """
    body = text_of(mailing)
    with notification("newsletter.issue", key=f"issue:{mailing.issue.pk}"):
        send_mail(mailing.issue.subject, body, None, [mailing.subscriber.email])
