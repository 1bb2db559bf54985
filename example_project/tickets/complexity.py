"""How hard a ticket is: the field that the upgrade brings."""

from example_project.progress import with_progress
from example_project.tickets.models import Ticket


def assess_all() -> None:
    """Give every ticket a complexity and save it, as the script of the incident did."""
    tickets = Ticket.objects.select_related("owner").prefetch_related("watchers").order_by("pk")
    for ticket in with_progress(list(tickets)):
        ticket.complexity = min(5, 1 + len(ticket.title) // 20)
        ticket.version += 1
        ticket.save()
