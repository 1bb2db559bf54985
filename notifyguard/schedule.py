"""Taking back what was sent with ``send_at`` and has not left."""

from __future__ import annotations

from notifyguard.notification import notification_of


def cancel(*, type: str, key: object) -> int:
    """Take back a message that is kept and has not left yet, for all its recipients.

    Scheduled, deferred or held: it ends as ``discarded``, its body is deleted, and its
    key is free, so that it can be scheduled anew. Inside ``atomic()`` it is taken back
    when the transaction commits. What a mail server has, or is being given now, is
    not taken back.

    Args:
        type: its notification type, as it was sent.
        key: its idempotency key, as it was sent.

    Returns:
        How many deliveries were taken back; 0 means that it has left, that a queue
        backend has it, or that it never was.

    Raises:
        TypeError, ValueError: the type or key cannot be used.
    """
    said = notification_of(type, key)
    if said.key is None:
        raise TypeError("A message is cancelled by its key; it was sent with one, or cannot be.")
    # Models can be imported only once all apps are loaded, this package before.
    from notifyguard import conf
    from notifyguard.gate import light
    from notifyguard.ledger import schedule

    if light.applies(conf.current()):
        return 0  # everything has left at once
    return schedule.cancel(said.type, said.key)
