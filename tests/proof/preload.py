"""Imported once by the fork server, so that a worker is ready in milliseconds."""

import django
from django.conf import settings

django.setup()

if settings.PROTOCOL == "guarded":
    from notifyguard.ledger import rows

    # What a dead process queued is the sweeper's after a second here, not after thirty.
    rows.GRACE = 1
