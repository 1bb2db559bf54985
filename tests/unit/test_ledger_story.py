"""Every state of a delivery has a sentence that a tired person understands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifyguard.decision import State
from notifyguard.ledger.looks.story import story
from notifyguard.models import Delivery

AT = "2026-05-01 10:02 UTC"


def row(state, rule="", reason="", **more):
    at = datetime(2026, 5, 1, 10, 2, tzinfo=UTC)
    return Delivery(
        state=state, rule=rule, reason=reason, changed_at=at, instance="web-1/b/7", **more
    )


@pytest.fixture(autouse=True)
def _utc(settings):
    settings.TIME_ZONE = "UTC"


@pytest.mark.parametrize(
    ("state", "rule", "reason", "told"),
    [
        ("sent", "", "", f"Sent at {AT}: the mail server accepted it."),
        ("sent", "released", "By ann: of use", "It was held, then released. By ann: of use. "
         f"Sent at {AT}: the mail server accepted it."),
        ("sent", "resolved", "It was sent, by ann: in the log",
         f"Counted as sent since {AT}. It was sent, by ann: in the log."),
        ("sent", "observed switch", "Would have been stopped: hold",
         f"Sent at {AT}: the mail server accepted it. Would have been stopped: hold."),
        ("failed", "refused", "550 no such user",
         f"Not sent: refused by the mail server at {AT}. It said: 550 no such user."),
        ("failed", "lease", "The process died.", f"Not sent: it failed at {AT}. The process died."),
        ("failed", "x", "", f"Not sent: it failed at {AT}. Rule: x."),
        ("uncertain", "unknown", "Lost", f"Nobody knows whether it left, at {AT}. Lost."),
        ("held", "switch", "hold by database (a.*), set by ann: flood",
         f"Held since {AT} by a switch: hold by database (a.*), set by ann: flood."),
        ("held", "conflict", "Somebody must look.",
         f'Held since {AT} by the rule "conflict": Somebody must look.'),
        ("held", "limit", "", f'Held since {AT} by the rule "limit".'),
        ("discarded", "suppressed", "backfill",
         f"Not sent, at {AT}: the code that sent it was to notify nobody. Reason: backfill."),
        ("discarded", "switch", "discard by settings",
         f"Discarded at {AT} by a switch: discard by settings."),
        ("discarded", "discarded", "By ann: wrong",
         f"It was held, then discarded at {AT}. By ann: wrong."),
        ("queued", "", "", f"It waits to be sent, since {AT}."),
        ("queued", "released", "By ann: ok",
         f"It was held, then released. By ann: ok. It waits to be sent, since {AT}."),
        ("queued", "handed on", "Handed to the queue, which has not come back",
         f"It waits to be sent, since {AT}. Handed to the queue, which has not come back."),
        ("claimed", "", "", f"It is being sent, since {AT}, by web-1/b/7."),
        ("in_flight", "", "", f"It is being sent, since {AT}, by web-1/b/7."),
        ("duplicate", "once", "",
         f"Not sent, at {AT}: another delivery with the same key was, or will be."),
        ("expired", "resolved", "Given up, by ann: old",
         f"Given up at {AT}. Given up, by ann: old."),
    ],
)  # fmt: skip
def test_what_happened_is_told(state, rule, reason, told):
    assert story(row(state, rule, reason)) == told


def test_what_a_limit_delays_says_until_when_and_why():
    later = datetime(2026, 5, 1, 11, 2, tzinfo=UTC)
    assert story(row("queued", "limit", "5 of a.* left within an hour", wake_at=later)) == (
        'It is kept back until 2026-05-01 11:02 UTC by the rule "limit": '
        "5 of a.* left within an hour."
    )


def test_every_state_has_a_sentence():
    assert all(story(row(state)) for state in State)


def test_an_uncertain_one_says_what_to_look_for():
    assert story(row("uncertain", message_id="<1@x>")).endswith(
        "Look for <1@x> in the mail server's log."
    )


@pytest.mark.parametrize(("count", "said"), [(1, "once more"), (3_000, "3,000 times more")])
def test_duplicates_are_told_on_the_winner(count, said):
    assert f"It was asked for {said} with the same key; that was not sent." in story(
        row("sent"), count
    )
