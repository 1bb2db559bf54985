"""A person at the web site who has forgotten the password."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
TIMEOUT = 30  # seconds


class Visitor:
    """Has opened the password reset page of the site on ``port`` of this machine."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/accounts/password_reset/"
        self._open = build_opener(HTTPCookieProcessor(CookieJar())).open
        with self._open(self._url, timeout=TIMEOUT) as page:
            match = TOKEN.search(page.read().decode())
        assert match, "the password reset page has no form"
        self._token = match[1]

    def ask_for_password_reset(self, email: str) -> None:
        """Submit the form. When this returns, the site has handed in the mail or given up."""
        form = urlencode({"email": email, "csrfmiddlewaretoken": self._token})
        self._open(self._url, form.encode(), timeout=TIMEOUT).close()
