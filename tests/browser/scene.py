"""A night in the life of an operator: what is in the ledger when the pages are looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.ledger.entry import first_id_at, new_id
from tests.factories import DeliveryFactory, UserFactory

HTML = """<h1 style="color:#205067">Ticket 4211 was modified</h1>
<p>Hello Ann, somebody changed the complexity of a ticket that you own.</p>
<img src="{elsewhere}/tracker.png" alt="a tracking image">
<script>document.title = "owned"; parent.document.title = "owned"</script>
<p><a href="{elsewhere}/tickets/4211">See the ticket</a></p>"""
TEXT = "Hello Ann,\n\nsomebody changed the complexity of ticket 4211, which you own.\n"
USUAL = (
    ("invoice.sent", "bob@example.com", "Your invoice for May"),
    ("auth.password_reset", "ann@example.com", "Set a new password"),
    ("ticket.closed", "ann@example.com", "Ticket 4180 was closed"),
    ("newsletter.weekly", "carol@example.org", "What is new this week"),
)


OURS = "notifyguard"  # the beginning of the names of our apps


def operator(name: str = "dana") -> Any:
    """Somebody who may do everything here, and nothing else in the admin."""
    user = UserFactory(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__startswith=OURS))
    return user


def letter(to: str, number: int, elsewhere: str = "http://127.0.0.1:9") -> EmailMultiAlternatives:
    """A message with text, HTML that would like to do harm, and an attachment."""
    message = EmailMultiAlternatives(f"Ticket {number} was modified", TEXT, to=[to])
    message.attach_alternative(HTML.format(elsewhere=elsewhere), "text/html")
    message.attach("history.csv", "field;before;after\ncomplexity;3;5\n", "text/csv")
    notifyguard.identify(message, "ticket.modified", key=f"ticket:{number}")
    return message


def row(at: datetime, **more: Any) -> Any:
    """A delivery of this time, whose id tells it as those of the ledger do."""
    row_id = UUID(int=first_id_at(at).int | (new_id().int & (1 << 62) - 1))
    return DeliveryFactory(id=row_id, created_at=at, **({"changed_at": at} | more))


def usual_mail() -> None:
    """What left before anything happened."""
    began = timezone.now() - timedelta(hours=3)
    for number, (type, to, subject) in enumerate(USUAL):
        row(
            began + timedelta(minutes=7 * number),
            type=type,
            recipient=to,
            subject=subject,
            instance="web-1/6f3a/311",
            origin="web",
            call_site="shop.views.checkout",
            message_id=f"<{number}.4180@web-1.example.com>",
        )


def uncertain(*people: str) -> None:
    """Deliveries that a killed worker left in the air."""
    at = timezone.now() - timedelta(minutes=50)
    for number, person in enumerate(people):
        row(
            at + timedelta(seconds=number),
            changed_at=at + timedelta(minutes=10),
            type="ticket.modified",
            recipient=person,
            state=State.UNCERTAIN,
            wake_at=timezone.now() + timedelta(days=3000),
            subject="Ticket 4199 was modified",
            rule="lease",
            reason="The process that was handing it over did not report back; it may have left.",
            instance="worker-2/91cc/1204",
            message_id=f"<{number}.4199@worker-2.example.com>",
        )


def flood(count: int = 6, **more: Any) -> None:
    """Messages of one type, which a switch holds."""
    for number in range(count):
        letter(f"{f'owner{number}' if number else 'ann'}@example.com", 4211 + number, **more).send()


def stop(pattern: str = "ticket.*", reason: str = "A migration touches every ticket") -> None:
    """Somebody stops a type."""
    switchboard.set_switch(pattern, Sending.HOLD, reason=reason, actor=unrestricted("dana"))


def resume(pattern: str = "ticket.*") -> None:
    """Somebody opens it again; what is held stays held."""
    switchboard.clear_switch(pattern, reason="The migration is over", actor=unrestricted("dana"))
