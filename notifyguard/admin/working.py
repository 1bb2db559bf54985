"""What a request does by itself, and how much of it: a canary needs no other process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from notifyguard import database, sweeper
from notifyguard.database import Standing
from notifyguard.gate.digests import advance
from notifyguard.models import Release

AT_ONCE = 50
"""Deliveries that a request sends itself; more are left to a sweeper."""

PATIENCE = 10.0
"""Seconds after which a request leaves the rest to a sweeper, or to the next request."""


T = TypeVar("T")


def in_time(batches: Iterable[T]) -> Iterator[T]:
    """Yield what was done until the patience ends: a request that takes for ever is cut off.

    What is not done then is left as it was; whoever asks again goes on there.
    """
    deadline = time.monotonic() + PATIENCE
    for batch in batches:
        yield batch
        if time.monotonic() > deadline:
            return


def send_a_few(release: Release) -> None:
    """Work a release off if there is little of it, or the canary of it.

    Never inside a transaction of the request: it would hold locks while it talks to the
    mail server.
    """
    in_canary = release.let_go < release.canary
    left = (release.canary if in_canary else release.meant) - release.let_go
    if left > AT_ONCE or database.standing() is not Standing.AUTOCOMMIT:
        return
    deadline = time.monotonic() + PATIENCE
    sweeper.sweep(
        lambda delivered: delivered < AT_ONCE and time.monotonic() < deadline,
        lambda: advance(release.pk).let_go,
    )
