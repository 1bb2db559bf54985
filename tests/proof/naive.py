"""The steps of the naive protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.proof.journals import Row
from tests.proof.models import NaiveDelivery, NaiveSwitch


def was_sent(name: str) -> bool:
    return NaiveDelivery.objects.filter(name=name, state="sent").exists()


def claim(name: str, recipients: Iterable[str]) -> None:
    for recipient in recipients:
        row = {"name": name, "recipient": recipient}
        if not NaiveDelivery.objects.filter(**row).exists():
            NaiveDelivery.objects.create(state="queued", **row)


def mark(name: str) -> None:
    NaiveDelivery.objects.filter(name=name).update(state="sent")


def give_up() -> None:
    NaiveDelivery.objects.filter(state="queued").update(state="failed")


def stopped() -> bool:
    return NaiveSwitch.objects.filter(stopped=True).exists()


def stop(stopped: bool) -> None:
    NaiveSwitch.objects.update_or_create(pk=1, defaults={"stopped": stopped})


def rows() -> Iterator[Row]:
    for row in NaiveDelivery.objects.all().iterator():
        yield Row(dispatch=row.name, recipient=row.recipient, state=row.state)
