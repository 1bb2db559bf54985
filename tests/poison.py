"""A message that kills the process which builds it, as a library that crashes would."""

from __future__ import annotations

import os

from django.core.mail import EmailMessage


class Poison(EmailMessage):
    """Kills, where the environment says so; to be queued it is harmless."""

    def message(self, *args, **kwargs):
        if os.environ.get("NOTIFYGUARD_TEST_POISON"):
            os._exit(9)
        return super().message(*args, **kwargs)
