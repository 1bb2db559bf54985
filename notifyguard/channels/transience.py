"""Which failures may pass by themselves, so that another try makes sense."""

from __future__ import annotations

import smtplib
import ssl


def is_transient(error: BaseException) -> bool:
    """Tell whether another try may succeed: a 4xx reply, or a server that cannot be reached.

    Says nothing about whether the message was accepted; only a proven negative may
    be tried again. RFC 5321, section 4.2.1.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(is_temporary(code) for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return is_temporary(error.smtp_code)
    if isinstance(error, smtplib.SMTPException):
        return isinstance(error, smtplib.SMTPServerDisconnected)
    # A certificate does not get better by waiting for a minute.
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLCertVerificationError)


def is_temporary(code: int) -> bool:
    """Tell whether a reply asks to be tried again later."""
    return 400 <= code < 500
