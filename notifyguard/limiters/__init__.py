"""Limiters: who counts what left, so that no window ever holds more than its limit.

    acquire   may these deliveries leave now? Each counts with its yes, in one atomic step
    refund    these did not leave after all: what they counted is free again

``LIMITER`` in the settings names the one that is asked.
"""

from __future__ import annotations

import logging

from django.utils.module_loading import import_string

from notifyguard.conf import LimiterSettings, Settings
from notifyguard.limiters.base import Limiter, Quota, Refusal, Request
from notifyguard.limiters.database import DatabaseLimiter

__all__ = ["MOST", "Limiter", "Quota", "Refusal", "Request", "limiter_for"]

MOST = 200
"""Requests of one ``acquire``: a call that asks for more holds up all others."""

logger = logging.getLogger("notifyguard")

_latest: tuple[LimiterSettings, Limiter] | None = None


def limiter_for(settings: Settings) -> Limiter:
    """Return the limiter of these settings, the same one for as long as they stand.

    One that cannot be made (no such class, a library that is missing, an option
    that nobody knows) is replaced by the ledger's database, and that is said once.
    """
    global _latest
    latest = _latest
    if latest is None or latest[0] != settings.limiter:
        latest = settings.limiter, _made(settings.limiter)
        _latest = latest
    return latest[1]


def _made(named: LimiterSettings) -> Limiter:
    try:
        limiter: Limiter = import_string(named.backend)(named)
    except Exception as error:  # any: a limiter may be anybody's code
        logger.error(
            'notifyguard: NOTIFYGUARD["LIMITER"] cannot be used, so limits are counted in the '
            "ledger's database: %s",
            error,
        )
        return DatabaseLimiter(named)
    return limiter
