"""The weekly reminder of open tickets, with the slip of the runaway loop."""

from django.contrib.auth import get_user_model
from django.core.mail import send_mass_mail

from example_project.progress import with_progress
from example_project.tickets.models import Ticket

SUBJECT = "Your open tickets"
AT_ONCE = 50  # people; the others have their turn in another week


def remind_owners() -> None:
    """Remind people who own open tickets. Nothing here names notifyguard."""
    owners = get_user_model().objects.filter(owned_tickets__status=Ticket.Status.OPEN)
    reminders = []
    for owner in with_progress(list(owners.distinct().order_by("pk")[:AT_ONCE])):
        count = owner.owned_tickets.filter(status=Ticket.Status.OPEN).count()
        text = f"Dear {owner.get_username()},\n{count} of your tickets are open.\n"
        reminders.append((SUBJECT, text, None, [owner.email]))
        # One step too far to the right: meant to stand behind the loop, and in it each turn
        # mails everybody so far once more.
        send_mass_mail(reminders)
