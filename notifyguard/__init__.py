"""notifyguard stands between a Django project and its mail server.

Nothing leaves that was not meant to leave, nothing leaves twice, nothing is lost
without a trace, and a person can stop, look and release at any moment.
"""

from notifyguard.context import bind, notification, suppressed, unsuppressed
from notifyguard.notification import identify
from notifyguard.outcomes import outcome
from notifyguard.schedule import cancel

__version__ = "0.1.0"

__all__ = [
    "bind",
    "cancel",
    "identify",
    "notification",
    "outcome",
    "suppressed",
    "unsuppressed",
]
