"""What the tracker writes to people. Nothing here names notifyguard."""

from typing import Any

from django.core.mail import send_mail

from example_project.tickets.models import Ticket

ANNOUNCED = "Your tickets now have a complexity"
FOLLOW_UP = "Did that solve it?"


def ticket_changed(ticket: Ticket) -> None:
    """Mail everybody who is involved."""
    send_mail(
        f"Ticket {ticket.pk} has changed",
        f"{ticket.title}\n\nstatus: {ticket.status}\nversion: {ticket.version}\n",
        None,
        ticket.addresses(),
    )


def complexity_announced(owner: Any) -> None:
    """Mail one owner what the upgrade brought."""
    send_mail(ANNOUNCED, f"Dear {owner.get_username()},\nhave a look.\n", None, [owner.email])


def follow_up(ticket: Ticket) -> None:
    """Ask the owner, some days after, whether all is well."""
    text = f"Dear {ticket.owner.get_username()},\n{ticket.title}: is all well now?\n"
    send_mail(FOLLOW_UP, text, None, [ticket.owner.email])
