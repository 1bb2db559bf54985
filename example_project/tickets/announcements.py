"""The inform step: tell each owner once, and on purpose, what the upgrade brought."""

from django.conf import settings
from django.contrib.auth import get_user_model

from example_project.tickets import mails
from notifyguard import notification, unsuppressed


def inform_owners() -> None:
    """Mail every owner of a ticket.

    A key is the point here, so this is one of the two places that name
    notifyguard. Both calls only set a context, which travels with the task; where the app
    is not in ``INSTALLED_APPS`` nobody reads it and the mails go out as plain Django's.
    """
    owners = get_user_model().objects.filter(owned_tickets__isnull=False).distinct()
    with unsuppressed("ticket.announcement", reason="owners should know of the new field"):
        for owner in owners.order_by("pk"):
            with notification("ticket.announcement", key="complexity"):
                if settings.USES_CELERY:
                    from example_project.tickets import tasks

                    tasks.complexity_announced.delay(owner.pk)
                else:
                    mails.complexity_announced(owner)
