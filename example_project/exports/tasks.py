"""The background jobs of incident E. Nothing here names notifyguard."""

from celery import shared_task
from django.core.mail import send_mail


@shared_task
def export_ready(number: int) -> None:
    """Tell somebody of a file that is there: true tomorrow too."""
    text = f"Export {number} can be fetched.\n"
    send_mail(f"Export {number} is ready", text, None, [f"customer{number}@example.test"])


@shared_task
def call_begins(number: int) -> None:
    """Remind somebody of a call: of no use afterwards."""
    text = f"Call {number} begins in ten minutes.\n"
    send_mail(f"Call {number} begins", text, None, [f"customer{number}@example.test"])
