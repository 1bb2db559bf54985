"""Django's SMTP backend, keeping what Django's own throws away."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

from django.core.mail.backends import smtp

from notifyguard.channels.evidence import (
    Evidence,
    KeepsEvidence,
    opening_phase,
    spoken,
    watched,
)

if TYPE_CHECKING:
    from django.core.mail import EmailMessage


class EmailBackend(KeepsEvidence, smtp.EmailBackend):
    """Sends as Django's SMTP backend does, and remembers what the server said.

    ``evidence`` holds what was seen of the last message: how far it got, each
    refused recipient with the server's reply, and the verdict, also where
    ``fail_silently`` hides the failure. Arguments, return values and exceptions are
    Django's, but for one: a bad reply to QUIT raises nothing, because by then the
    server has accepted, and an exception would have the message sent again.
    """

    def open(self) -> bool | None:
        """Connect as Django does; a failure leaves its phase in ``evidence``."""
        silent, self.fail_silently = self.fail_silently, False
        try:
            return super().open()
        except OSError as error:
            phase = opening_phase(vars(self)["_partial_connection"])
            self.evidence = Evidence(begun=True, phase=phase, said=spoken(error))
            if not silent:
                raise
            return None
        finally:
            self.fail_silently = silent

    def _send(self, email_message: EmailMessage) -> bool:
        with watched(self.connection) as self.evidence:
            return bool(super()._send(email_message))  # type: ignore[misc]  # unknown to stubs

    def _close_connection(self, connection: smtplib.SMTP) -> None:
        try:
            super()._close_connection(connection)  # type: ignore[misc]
        except smtplib.SMTPException:
            connection.close()
