"""Pages in a real browser: a server in a thread of this process, and Chromium beside it."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from django.test import Client

from notifyguard import switchboard
from tests.browser.chromium import NARROW, WIDE, chromium
from tests.browser.scene import operator
from tests.integration.conftest import full, mail_server, mailbox

__all__ = ["full", "mail_server", "mailbox"]


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests here; each has a context of its own.

    Not for the whole run: while it is there an event loop runs in this thread, which is
    what other tests are about.
    """
    with chromium() as found:
        yield found


@pytest.fixture
def site(live_server, mailbox):
    """The address of the admin, with the guard at work and a mail server behind it."""
    return f"{live_server.url}/admin/notifyguard/"


@pytest.fixture
def opened(browser, site):
    """Open pages as an operator who is logged in: ``opened("switch/", dark=True)``."""
    contexts = []

    def open_page(path="", *, user=None, narrow=False, dark=False, scripts=True):
        context = browser.new_context(
            viewport=NARROW if narrow else WIDE,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        client = Client()
        client.force_login(user or operator())
        cookie = client.cookies["sessionid"].value
        server = urljoin(site, "/")  # an integration's pages stand beside the core's
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": server}])
        page = context.new_page()
        page.goto(f"{site}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    switchboard.forget()
