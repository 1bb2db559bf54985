"""Tell the people involved that a ticket has changed."""

from typing import Any

from django.conf import settings
from django.db.models.signals import post_save
from django.dispatch import receiver

from example_project.tickets import mails
from example_project.tickets.models import Ticket


@receiver(post_save, sender=Ticket)
def tell_people_involved(instance: Ticket, raw: bool = False, **kwargs: Any) -> None:
    if raw:  # a fixture is being loaded
        return
    if settings.USES_CELERY:
        from example_project.tickets import tasks

        tasks.ticket_changed.delay(instance.pk)
    else:
        mails.ticket_changed(instance)
