"""Pages in the admin for whoever has to stop mail, look at it, and let it go or not.

They only translate. What is done is done below, with the user's name on it, by a right
that is asked for there, and never without a reason.
"""

from notifyguard.admin.blocked import BlockedPages
from notifyguard.admin.deliveries import DeliveryPages
from notifyguard.admin.events import EventPages
from notifyguard.admin.held_messages import HeldPages
from notifyguard.admin.releases import ReleasePages
from notifyguard.admin.switches import SwitchPages

__all__ = [
    "BlockedPages",
    "DeliveryPages",
    "EventPages",
    "HeldPages",
    "ReleasePages",
    "SwitchPages",
]
