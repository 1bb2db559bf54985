"""The inform step: tell each owner once, and on purpose, what the upgrade brought."""

from django.contrib.auth import get_user_model
from django.core.mail import send_mail

from notifyguard import notification, unsuppressed

SUBJECT = "Your tickets now have a complexity"


def inform_owners() -> None:
    """Mail every owner of a ticket.

    A key is the point here, so this is one of the two places that name
    notifyguard. Both calls only set a context; where the app is not in
    ``INSTALLED_APPS`` nobody reads it and the mails go out as plain Django's.
    """
    owners = get_user_model().objects.filter(owned_tickets__isnull=False).distinct()
    with unsuppressed("ticket.announcement", reason="owners should know of the new field"):
        for owner in owners.order_by("pk"):
            with notification("ticket.announcement", key="complexity"):
                send_mail(
                    SUBJECT, f"Dear {owner.get_username()},\nhave a look.\n", None, [owner.email]
                )
