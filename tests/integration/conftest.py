"""A guarded project with a real mail server: every test sends through Django's own SMTP backend."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from django.contrib.auth.models import Permission

from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.gate import late
from tests.factories import UserFactory
from tests.mailbox import Mailbox, letter, use_server
from tests.operators import deed
from tests.smtp import PROJECT, running_sink

SCRIPT = """
import logging, os, sys, django
from django.conf import settings
exec(os.environ.get("BEFORE", ""))
django.setup()
settings.NOTIFYGUARD = {"TYPES": {"now": {"in_transaction": "now"}}}
from django.db import connection
from tests.factories import UserFactory
from tests.mailbox import batch, letter, use_server
use_server(settings, int(sys.argv[1]))
import notifyguard
from notifyguard import switchboard

def send(person, **more):
    message = letter(f"{person}@example.com", **more)
    try:
        return message.send()
    except Exception as error:
        return type(error).__name__
"""


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


@pytest.fixture
def three_due(mailbox):
    """Three messages that were released and wait for a sweeper."""
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=unrestricted("ann"))
    for _ in range(3):
        letter().send()
    switchboard.clear_switch("*", reason="x", actor=unrestricted("ann"))
    deed("release", "--yes", "--later")
    return mailbox


@pytest.fixture
def elsewhere(mail_server, process_environment):
    """Run code in a process of its own; return what it printed."""

    def run(body, **environment):
        ran = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                SCRIPT + textwrap.dedent(body),
                str(mail_server.port),
            ],
            env=process_environment | environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split(), ran.stderr

    return run


@pytest.fixture
def page(client, full):
    """Open the admin as ann, who has some rights: ``page("view_switch", ...)``."""

    def log_in(*codenames, superuser=False):
        ann = UserFactory(username="ann", is_staff=True, is_superuser=superuser)
        ann.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert ann.user_permissions.count() == len(codenames)
        client.force_login(ann)
        return client

    return log_in


@pytest.fixture
def root(page):
    """The admin as ann, who may do everything."""
    return page(superuser=True)
