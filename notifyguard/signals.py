"""Django signals of this app."""

from __future__ import annotations

from django.dispatch import Signal

capped = Signal()
"""Messages of a type are discarded because there is no room to hold them: its caps.

Sent once an hour for each type, by the process that discards, once that is committed. A
receiver that raises is logged and harms nobody.

Arguments:
    sender: ``notifyguard.models.Alert``.
    type: the notification type.
"""

given_up = Signal()
"""A kept message was given up: it has failed, and nobody waits for an exception.

Sent for each delivery that ends as ``failed`` because three processes died over it, or
because its last retry failed. A receiver that raises harms nobody.

Arguments:
    sender: ``notifyguard.models.Delivery``.
    delivery: the id of its row.
    type: the notification type.
    rule: ``"crashes"`` or ``"retries"``.
"""

held = Signal()
"""Messages of a type are held by a rule: sent once for each type, rule and window.

Sent to receivers after what is held is committed, by the process that holds or by the
sweeper. A receiver that raises is logged and harms nobody.

Arguments:
    sender: ``notifyguard.models.Alert``.
    type: the notification type.
    rule: the name of the rule that holds.
    waiting: how many deliveries of it wait now.
    fresh: how many of these were held since somebody was last told.
    oldest: when the first of those that wait was held.
"""
