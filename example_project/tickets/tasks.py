"""The tracker's mail as Celery's tasks. Nothing here names notifyguard."""

from celery import shared_task
from django.contrib.auth import get_user_model

from example_project.tickets import mails
from example_project.tickets.models import Ticket


@shared_task
def ticket_changed(ticket: int) -> None:
    mails.ticket_changed(Ticket.objects.select_related("owner").get(pk=ticket))


@shared_task
def complexity_announced(owner: int) -> None:
    mails.complexity_announced(get_user_model().objects.get(pk=owner))


@shared_task
def follow_up(ticket: int) -> None:
    mails.follow_up(Ticket.objects.select_related("owner").get(pk=ticket))
