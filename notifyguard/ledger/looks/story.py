"""What happened to a delivery, in plain words: the same for the command and the admin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from notifyguard import clock, database
from notifyguard.decision import State
from notifyguard.models import Delivery


def story(delivery: Delivery, duplicates: int = 0) -> str:
    """Return what happened to a delivery, and why, in one to three sentences.

    Args:
        delivery: its row.
        duplicates: how many were counted on it: ``search.duplicates_of``.
    """
    told = _TOLD[State(delivery.state)](delivery, moment(delivery.changed_at))
    if duplicates:
        times = "once more" if duplicates == 1 else f"{duplicates:,} times more"
        told += f" It was asked for {times} with the same key; that was not sent."
    return told


def moment(at: datetime | None) -> str:
    """Return a time as people here write it, in the present time zone; ``""`` for none."""
    if at is None:
        return ""
    return f"{timezone.localtime(at) if timezone.is_aware(at) else at:%Y-%m-%d %H:%M %Z}".rstrip()


def _sent(delivery: Delivery, at: str) -> str:
    if delivery.rule == "resolved":
        return f"Counted as sent since {at}. {_reason(delivery)}"
    accepted = f"Sent at {at}: the mail server accepted it."
    if delivery.rule == "released":
        return f"It was held, then released. {_reason(delivery)} {accepted}"
    return f"{accepted} {_reason(delivery)}".rstrip()


def _failed(delivery: Delivery, at: str) -> str:
    if delivery.rule == "refused":
        return f"Not sent: refused by the mail server at {at}. It said: {_reason(delivery)}"
    return f"Not sent: it failed at {at}. {_reason(delivery) or f'Rule: {delivery.rule}.'}"


def _uncertain(delivery: Delivery, at: str) -> str:
    look = f" Look for {delivery.message_id} in the mail server's log." * bool(delivery.message_id)
    return f"Nobody knows whether it left, at {at}. {_reason(delivery)}{look}"


def _held(delivery: Delivery, at: str) -> str:
    return f"Held since {at} by {_by(delivery)}"


def _discarded(delivery: Delivery, at: str) -> str:
    if delivery.rule == "suppressed":
        said = _reason(delivery)
        return f"Not sent, at {at}: the code that sent it was to notify nobody. Reason: {said}"
    if delivery.rule == "cancelled":
        return f"Not sent: taken back at {at} by the code that sent it."
    if delivery.rule == "discarded":
        return f"It was held, then discarded at {at}. {_reason(delivery)}"
    return f"Discarded at {at} by {_by(delivery)}"


def _queued(delivery: Delivery, at: str) -> str:
    released = f"It was held, then released. {_reason(delivery)} " * (delivery.rule == "released")
    if delivery.rule in ("retries", "resend"):
        return f"{_reason(delivery)} It is tried again at {moment(delivery.wake_at)}."
    if delivery.due_at is not None and delivery.wake_at == delivery.due_at:
        if delivery.due_at > clock.now(database.connection()):
            return f"{released}It is scheduled for {moment(delivery.due_at)}."
        return f"{released}It has been due since {moment(delivery.due_at)}; a sweeper delivers it."
    if delivery.rule == "limit":
        return f"It is kept back until {moment(delivery.wake_at)} by {_by(delivery)}"
    waits = f"{released}It waits to be sent, since {at}."
    return waits if released else f"{waits} {_reason(delivery)}".rstrip()


def _on_its_way(delivery: Delivery, at: str) -> str:
    return f"It is being sent, since {at}, by {delivery.instance}."


def _duplicate(delivery: Delivery, at: str) -> str:
    return f"Not sent, at {at}: another delivery with the same key was, or will be."


def _expired(delivery: Delivery, at: str) -> str:
    return f"Given up at {at}. {_reason(delivery)}"


def _by(delivery: Delivery) -> str:
    who = "a switch" if delivery.rule == "switch" else f'the rule "{delivery.rule}"'
    reason = _reason(delivery)
    return f"{who}: {reason}" if reason else f"{who}."


def _reason(delivery: Delivery) -> str:
    """Return the reason as a sentence; what servers and people say ends anyhow."""
    reason = delivery.reason.strip()
    return reason if not reason or reason[-1] in ".!?" else f"{reason}."


_TOLD: dict[State, Callable[[Delivery, str], str]] = {
    State.QUEUED: _queued,
    State.CLAIMED: _on_its_way,
    State.IN_FLIGHT: _on_its_way,
    State.SENT: _sent,
    State.FAILED: _failed,
    State.UNCERTAIN: _uncertain,
    State.HELD: _held,
    State.DISCARDED: _discarded,
    State.DUPLICATE: _duplicate,
    State.EXPIRED: _expired,
}
