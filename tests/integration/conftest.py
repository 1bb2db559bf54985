"""A guarded project with a real mail server: every test sends through Django's own SMTP backend."""

from __future__ import annotations

import pytest

from notifyguard import switchboard
from notifyguard.gate import late
from tests.mailbox import Mailbox, use_server
from tests.smtp import running_sink


@pytest.fixture(scope="session")
def mail_server():
    """The sink of this run. Not synced to disk: no test of these kills it."""
    with running_sink("--no-fsync") as sink:
        yield sink


@pytest.fixture
def full(settings):
    """The real path, not the light one that is the default in tests."""
    settings.NOTIFYGUARD = {"IN_TESTS": "full"}
    yield settings
    late.unrecorded.clear()


@pytest.fixture
def mailbox(mail_server, full):
    """The mail server, as this test sees it; all mail of the project goes there."""
    use_server(full, mail_server.port)
    switchboard.board(fresh=True)  # a flush emptied the tables; migrations would have filled them
    return Mailbox(mail_server, len(mail_server.accepted()))
