"""Tell the people involved that a ticket has changed."""

from typing import Any

from django.core.mail import send_mail
from django.db.models.signals import post_save
from django.dispatch import receiver

from example_project.tickets.models import Ticket


@receiver(post_save, sender=Ticket)
def mail_people_involved(instance: Ticket, raw: bool = False, **kwargs: Any) -> None:
    if raw:  # a fixture is being loaded
        return
    send_mail(
        f"Ticket {instance.pk} has changed",
        f"{instance.title}\n\nstatus: {instance.status}\nversion: {instance.version}\n",
        None,
        instance.addresses(),
    )
