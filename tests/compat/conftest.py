"""The mail server and the guarded project of the integration tests, for real neighbours too."""

from __future__ import annotations

from tests.integration.conftest import full, mail_server, mailbox

__all__ = ["full", "mail_server", "mailbox"]
