"""The tables. Who writes them: the modules of the memory layer, each its own, nobody else."""

from notifyguard.models.deliveries import Claim, Delivery
from notifyguard.models.held import HeldMessage, Release, Released
from notifyguard.models.limits import LimitCounter, LimitEntry
from notifyguard.models.messages import FrozenContent, FrozenMessage
from notifyguard.models.records import Alert, Event, Heartbeat, Sweep
from notifyguard.models.switches import BlockedAddress, Control, Switch

__all__ = [
    "Alert",
    "BlockedAddress",
    "Claim",
    "Control",
    "Delivery",
    "Event",
    "FrozenContent",
    "FrozenMessage",
    "Heartbeat",
    "HeldMessage",
    "LimitCounter",
    "LimitEntry",
    "Release",
    "Released",
    "Sweep",
    "Switch",
]
