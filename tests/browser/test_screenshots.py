"""The screenshots of the documentation; taken by ``python -m tests.screenshots`` alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from notifyguard.models import Delivery, Switch
from tests.browser import scene

FOLDER = os.environ.get("NOTIFYGUARD_SCREENSHOTS")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("chromium"),
    pytest.mark.skipif(not FOLDER, reason="taken by python -m tests.screenshots"),
]


@pytest.fixture
def night(mailbox):
    """Mail as usual, a worker that died, and then a flood that somebody stopped."""
    scene.usual_mail()
    scene.uncertain("bob@example.com", "carol@example.org")
    scene.stop()
    scene.flood()


def shot(page, name):
    page.screenshot(path=Path(str(FOLDER), f"{name}.png"), full_page=True)


@pytest.mark.parametrize(
    "look", [{}, {"dark": True}, {"narrow": True}], ids=["light", "dark", "narrow"]
)
def test_all(opened, night, look):
    user = scene.operator()
    suffix = "-".join(look)
    row = Delivery.objects.filter(state="held").order_by("id")[0]
    pages = {
        "index": "", "switches": "switch/", "switch-set": "switch/set/",
        "resume": f"switch/{Switch.objects.get().pk}/resume/", "types": "switch/types/",
        "search": "delivery/?q=ann@example.com", "nothing": "delivery/?q=anm@example.com",
        "delivery": f"delivery/{row.id}/", "body": f"delivery/{row.id}/text/",
        "uncertain": "delivery/uncertain/", "held": "heldmessage/", "list": "heldmessage/list/",
        "events": "event/",
    }  # fmt: skip
    page = opened("", user=user, **look)
    for name, path in pages.items():
        page.goto(f"{page.url.split('/admin/')[0]}/admin/notifyguard/{path}")
        shot(page, f"{name}{'-' if suffix else ''}{suffix}")
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if over:
            print("OVERFLOW", name, look, over)
