"""The people, tickets and subscribers of a replay."""

from __future__ import annotations

DEMO_USER = "demo"
DEMO_PASSWORD = "demo"
DEMO_EMAIL = "demo@example.test"
NEWSLETTER = "What is new in November"
NEXT_NEWSLETTER = "What is new in December"
NEXT_READERS = 100
PUBLISHED = 3  # times that each slip is published

# The models are imported where they are used: the demo command itself needs no database.


def owners_for(tickets: int) -> int:
    """Return how many people own that many tickets between them."""
    return max(1, tickets // 10)


def add_login() -> None:
    """Add the person who may see everything, and who forgets the password."""
    from django.contrib.auth.models import User

    User.objects.create_superuser(DEMO_USER, DEMO_EMAIL, DEMO_PASSWORD)


def add_tickets(count: int) -> None:
    """Add tickets, each with an owner and a watcher, without anybody being told.

    The bulk methods send no signals, so they send no mail.
    """
    from django.contrib.auth.models import User

    from example_project.tickets.models import Ticket

    people = User.objects.bulk_create(
        User(username=f"person{n}", email=f"person{n}@example.test")
        for n in range(owners_for(count))
    )
    tickets = Ticket.objects.bulk_create(
        Ticket(title=f"Something is broken, part {n}", owner=people[n % len(people)])
        for n in range(count)
    )
    Ticket.watchers.through.objects.bulk_create(
        Ticket.watchers.through(ticket=ticket, user=people[(n + 1) % len(people)])
        for n, ticket in enumerate(tickets)
    )


def add_newsletter(subscribers: int) -> None:
    """Add an issue that waits to be sent to so many subscribers."""
    from example_project.newsletter.models import Issue, Mailing, Subscriber

    issue = Issue.objects.create(subject=NEWSLETTER, body="A great deal, as every month.")
    readers = Subscriber.objects.bulk_create(
        Subscriber(email=f"reader{n}@example.test", name=f"Reader {n}") for n in range(subscribers)
    )
    Mailing.objects.bulk_create(Mailing(issue=issue, subscriber=reader) for reader in readers)


def add_next_issue() -> None:
    """Add the issue of the month after, which waits for the first hundred subscribers."""
    from example_project.newsletter.models import Issue, Mailing, Subscriber

    issue = Issue.objects.create(subject=NEXT_NEWSLETTER, body="Less than last month.")
    readers = Subscriber.objects.order_by("pk")[:NEXT_READERS]
    Mailing.objects.bulk_create(Mailing(issue=issue, subscriber=reader) for reader in readers)


def add_slips(count: int) -> None:
    """Publish so many slips, each as often as the platform of the incident did.

    The copies stand as far apart as a worker takes jobs ahead: several workers get one each.
    """
    from example_project.slips.models import Job, Slip
    from example_project.slips.queue import PREFETCHED

    slips = Slip.objects.bulk_create(
        (
            Slip(email=f"parent{n}@example.test", text=f"Page {n}, please sign.")
            for n in range(count)
        ),
        batch_size=1_000,
    )
    Job.objects.bulk_create(
        (
            Job(slip=slip)
            for start in range(0, count, PREFETCHED)
            for _ in range(PUBLISHED)
            for slip in slips[start : start + PREFETCHED]
        ),
        batch_size=1_000,
    )


def remove_repeats() -> None:
    """Take out of the queue what is marked as sent, as the team did for days."""
    from example_project.slips.models import Job

    Job.objects.filter(done=False, slip__sent=True).delete()
