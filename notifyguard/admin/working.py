"""A few deliveries sent by the request itself, so that a canary needs no other process."""

from __future__ import annotations

import time

from notifyguard import database, sweeper
from notifyguard.database import Standing
from notifyguard.ledger.letting_go import advance
from notifyguard.models import Release

AT_ONCE = 50
"""Deliveries that a request sends itself; more are left to a sweeper."""

PATIENCE = 10.0
"""Seconds after which a request leaves the rest to a sweeper, if the mail server is slow."""


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
