"""Plain pages in the admin: switches, deliveries, held messages, events.

They only translate. What is done to the ledger is done below, with the user's
name on it and never without a reason.
"""

from notifyguard.admin.held_messages import HeldMessageAdmin
from notifyguard.admin.pages import DeliveryAdmin, EventAdmin
from notifyguard.admin.switches import SwitchAdmin

__all__ = ["DeliveryAdmin", "EventAdmin", "HeldMessageAdmin", "SwitchAdmin"]
