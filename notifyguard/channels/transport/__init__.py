"""Between the gate and a backend: connect, then mark, then hand over.

Only what is done after the ledger's mark can leave a message uncertain, so all that
can be done before it is: building the message, connecting, greeting, logging in.

What a hand-over proves, by the backend whose ``send_messages`` runs:

====================  ===========================  =================================
backend               exception                    return value
====================  ===========================  =================================
SMTP, Django's or     by the conversation seen     by the conversation seen
ours                  (``evidence.py``)
locmem, console,      refused                      0 refused, else accepted
filebased, dummy
anymail               ``anymail_status`` if this   the same; 0 is refused (cancelled
                      send set it, else unknown    before posting), but unknown with
                                                   ``fail_silently``
any other             ``anymail_status`` if set;   the same; a positive number or a
                      smtplib's proven negatives   filled list accepted; 0 or an
                      refused; else unknown        empty list unknown; None and
                                                   others accepted, but unknown with
                                                   ``fail_silently``
====================  ===========================  =================================

A 0 from a backend nobody knows is no proof: many do not count. What a backend that is
known to queue returns says nothing of the mail server; the ledger calls it handed on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from notifyguard.channels.evidence import Verdict
from notifyguard.channels.transport.base import (
    ConnectedTransport,
    LocalTransport,
    Receipt,
    Transport,
    defined_in,
    is_silent,
)
from notifyguard.channels.transport.smtp import SMTP, SMTPTransport

__all__ = [
    "Receipt",
    "Transport",
    "Verdict",
    "has_sent_on_return",
    "is_queue",
    "is_silent",
    "is_synchronous",
    "transport_for",
]

LOCAL = {
    f"django.core.mail.backends.{name}" for name in ("locmem", "console", "filebased", "dummy")
}
API = {"anymail.backends.base"}
# By class and not by module: an app of the project's own may be called "mailer", too.
QUEUES = {
    "djcelery_email.backends.CeleryEmailBackend",
    "mailer.backend.DbBackend",
    "post_office.backends.EmailBackend",
}


def transport_for(backend: Any, inner: Callable[[Any], Any]) -> Transport:
    """Return the way to hand messages to a backend.

    Args:
        backend: the instance whose ``send_messages`` was called.
        inner: calls its original ``send_messages`` with a list of messages.
    """
    module = defined_in(backend, "send_messages")
    if module in SMTP:
        return SMTPTransport(backend, inner)
    if module in LOCAL:
        return LocalTransport(backend, inner)
    if module in API:
        return ConnectedTransport(backend, inner)
    return Transport(backend, inner)


def is_synchronous(backend: Any) -> bool:
    """Tell whether the backend is known to have sent when ``send_messages`` returns.

    True only where the ``send_messages`` that runs is Django's, ours or anymail's:
    whoever overrides it may queue, or start a thread.
    """
    return defined_in(backend, "send_messages") in SMTP | LOCAL | API


def has_sent_on_return(inner: Callable[[Any], Any]) -> bool:
    """Tell the same of the one method that is about to run: a backend may extend another.

    Args:
        inner: calls the method, which it names as ``__wrapped__``.
    """
    return getattr(inspect.unwrap(inner), "__module__", "") in SMTP | LOCAL | API


def is_queue(backend: Any) -> bool:
    """Tell whether the backend is known to store messages and to send them later.

    By its bases: whoever extends a queue still queues.
    """
    return any(f"{base.__module__}.{base.__qualname__}" in QUEUES for base in type(backend).__mro__)
