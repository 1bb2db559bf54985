"""Every exception notifyguard raises, in one place."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured


class NotifyguardError(Exception):
    """Base class of all errors raised by notifyguard."""


class InvalidSettings(NotifyguardError, ImproperlyConfigured):
    """``settings.NOTIFYGUARD`` cannot be used; the message names setting, value and fix."""


class LedgerUnavailable(NotifyguardError):
    """The ledger's database cannot be reached, so the message was not sent.

    A message that cannot be recorded could be sent twice or lost without a
    trace. Critical types are sent all the same.
    """


class CannotFreeze(NotifyguardError):
    """A message holds something that cannot be stored and restored without loss."""


class CannotThaw(NotifyguardError):
    """A stored message cannot be restored: its form or class is unknown here."""


class CannotConnect(NotifyguardError):
    """The backend that a stored message was meant for is not there any more."""


class DigestFailed(NotifyguardError):
    """A digest cannot be made of held messages; the text names setting, value and fix."""


class InTransaction(NotifyguardError):
    """What must not be sent inside ``atomic()`` was: ``in_transaction: "error"``, ``@guarded``."""


class Stopped(NotifyguardError):
    """What a guarded function would have sent is held, and nobody is there to try it later."""


class NotAllowed(NotifyguardError):
    """An operator's action was refused: a missing reason, expiry or state."""
