"""Keep a message as data, and make it a message again: ``freeze``, ``thaw``, ``Frozen``.

``values`` turns Python values into JSON and back, ``mime`` does so for MIME parts,
``messages`` for whole messages; ``classes`` says which classes may come back to life.
"""

from __future__ import annotations

from notifyguard.channels.freezing.messages import freeze, thaw
from notifyguard.hold import Frozen

__all__ = ["Frozen", "freeze", "thaw"]
