"""What a preview says is what the release then does, each delivery counted once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

import notifyguard
from notifyguard import blocked, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.models import Delivery
from tests.integration.test_digests import templates
from tests.mailbox import letter, rows
from tests.operators import facts, status

__all__ = ["templates"]

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB, CAT = (f"{name}@example.com" for name in ("ann", "bob", "cat"))
ME = unrestricted("me")
DAY = timedelta(days=1)
TYPES = {
    "news.*": {"digest": "tickets/digest"},
    "slow.*": {"max_age": DAY, "on_stale": "expire"},
    "many.*": {"limits": ["2/hour"], "type_limits": ["3/hour"]},
}


@pytest.fixture
def held(mailbox, settings, templates):
    """A night's mail, some of which is held for more than one cause."""
    settings.NOTIFYGUARD |= {"TYPES": TYPES}
    blocked.block([CAT], reason="bounced", actor=ME)
    for pattern in ("*", "stopped.*"):
        switchboard.set_switch(pattern, Sending.HOLD, reason="x", actor=ME)
    return mailbox


def send(type, to, subject, supersedes=None, **changed):
    """Send a message that is held, and change its row."""
    message = letter(to, subject=subject)
    notifyguard.identify(message, type, supersedes=supersedes)
    message.send()
    if changed:
        Delivery.objects.filter(id=rows()[-1].id).update(**changed)


def night():
    """Send what is told in digests, folded, late, early, blocked, too much and stopped."""
    later = {"due_at": timezone.now() + DAY}
    old = {"created_at": F("created_at") - 2 * DAY}
    for number in range(3):
        send("news.daily", ANN, f"{number}")
        send("ticket.modified", ANN, "the same")
        send("ticket.modified", BOB, f"{number}", supersedes="ticket")
        send("many.more", ANN, f"{number}")
    send("news.daily", BOB, "one alone")
    send("news.daily", ANN, "early", **later)
    for _ in range(2):
        send("ticket.modified", CAT, "blocked, and a repeat")
        send("ticket.modified", ANN, "early, and a repeat", **later)
    send("ticket.modified", CAT, "early, and blocked", **later)
    send("slow.mail", ANN, "stale, and superseded", supersedes="slow", **old)
    send("slow.mail", ANN, "fresh", supersedes="slow")
    send("slow.mail", BOB, "stale", **old)
    send("slow.mail", BOB, "stale, and a repeat", **old)
    send("slow.mail", BOB, "stale, and a repeat", **old)
    for number in range(2):
        send("many.more", BOB, f"{number}")
        send("stopped.type", ANN, "the same")


def test_what_is_said_is_done(held):
    night()
    switchboard.clear_switch("*", reason="x", actor=ME)
    said: Counter[str] = Counter()
    for each in facts("release", "--preview")["findings"]:
        said[each["name"]] += each["deliveries"]
    status("release", "--yes", "--reason", "a test", "--actor", "me")
    done = Counter(
        "scheduled" if row.state == "queued" else row.rule for row in rows() if row.state != "sent"
    )
    assert said == done
    assert said == {
        "digest": 3,
        "repeat": 2 + 1 + 1 + 1,
        "superseded": 2 + 1,
        "scheduled": 3,
        "blocked": 1,
        "stale": 2,
        "limit": 2,
        "switch": 2,
    }
