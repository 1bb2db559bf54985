"""How long the admin's pages take at the server: ``python -m tests.benchmarks.pages``.

The ledger holds what was sent in 91 days, to 500,000 people of 20 types, and what waits
for a person: held, uncertain. A page's time is that of Django's
request from first to last byte, database included, templates rendered.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median
from typing import Any

from tests.benchmarks.stage import stage

AIM = 300
"""Milliseconds."""

PASSES = 7


def main() -> int:
    """Fill, measure, print a table."""
    options = parsed()
    os.environ["BENCHMARK_PAGES"] = "1"
    with stage(options.db):
        from tests.benchmarks import filling

        filling.fill(options.rows, by_hand=False)
        wait_for_people(options.held)
        print(f"{options.db}, {options.rows:,} deliveries, {options.held:,} held")
        for name, path in pages().items():
            milliseconds = measured(path)
            verdict = "reached" if milliseconds <= AIM else "MISSED"
            print(f"{name:<34}{milliseconds:>6.0f} ms  {verdict}", flush=True)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pages", description=__doc__)
    databases = ["postgresql", "sqlite", "mariadb"]
    parser.add_argument("--db", choices=databases, default="postgresql")
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N")
    parser.add_argument("--held", type=int, default=10_000, metavar="N")
    return parser.parse_args()


def wait_for_people(held: int) -> None:
    """Add what waits: held messages, and a hundredth of that uncertain."""
    from django.utils import timezone

    from notifyguard import clock
    from notifyguard.decision import State
    from notifyguard.ledger import new_id
    from notifyguard.models import Delivery, FrozenMessage
    from tests.benchmarks.filling import settle

    now = timezone.now()

    def row(number: int, state: State) -> Delivery:
        return Delivery(
            id=new_id(), dispatch=new_id(), type=f"ticket.{number % 20}", state=state,
            recipient=f"person{number}@example.com", instance="host-1/1a2b3c4d/4711", rule="switch",
            created_at=now, changed_at=now, wake_at=clock.never(),
        )  # fmt: skip

    rows = [row(number, State.HELD) for number in range(held)]
    rows += [row(number, State.UNCERTAIN) for number in range(held // 100)]
    Delivery.objects.bulk_create(rows, batch_size=2000)
    FrozenMessage.objects.bulk_create(
        (
            FrozenMessage(dispatch=each.dispatch, payload="{}", size=2, frozen_at=now)
            for each in rows
        ),
        batch_size=2000,
    )
    settle("notifyguard_delivery", "notifyguard_frozenmessage")


def pages() -> dict[str, str]:
    """The pages by what is looked for on them."""
    from notifyguard.models import Delivery

    newest = Delivery.objects.order_by("-id")[0]
    day = f"{newest.created_at:%Y-%m-%d}"
    return {
        "overview": "",
        "switches": "switch/",
        "types": "switch/types/",
        "deliveries, newest": "delivery/",
        "an address": "delivery/?q=person4711@example.com",
        "the beginning of an address": "delivery/?q=person47",
        "one letter": "delivery/?q=p",
        "a type": "delivery/?q=ticket.7",
        "the beginning of a type": "delivery/?q=ticket.",
        "an id": f"delivery/?q={newest.id}",
        "a state of which there is none": "delivery/?state=failed",
        "a day": f"delivery/?since={day}&until={day}",
        "an address that nobody has": "delivery/?q=persom4711@example.com",
        "a delivery": f"delivery/{newest.id}/",
        "held": "heldmessage/",
        "held, one by one": "heldmessage/list/?type=ticket.7",
        "a release's preview": "heldmessage/release/?type=ticket.7",
        "uncertain": "delivery/uncertain/",
        "releases": "release/",
        "blocked": "blockedaddress/",
        "events": "event/",
    }


def measured(path: str) -> float:
    """Return the middle of several times, in milliseconds."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    root, _ = get_user_model().objects.get_or_create(
        username="root", is_staff=True, is_superuser=True
    )
    client = Client()
    client.force_login(root)

    def seconds() -> float:
        began = time.perf_counter()
        response: Any = client.get(f"/admin/notifyguard/{path}")
        if response.status_code != 200:
            raise RuntimeError(f"{path}: {response.status_code}")
        return time.perf_counter() - began

    seconds()  # what is done once in a process is no part of it
    return median(seconds() for _ in range(PASSES)) * 1000


if __name__ == "__main__":
    sys.exit(main())
