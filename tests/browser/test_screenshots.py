"""The screenshots of the documentation; taken by ``python -m tests.screenshots`` alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from notifyguard.models import Delivery
from tests.browser import scene

FOLDER = os.environ.get("NOTIFYGUARD_SCREENSHOTS", "")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("chromium"),
    pytest.mark.needs("playwright"),
    pytest.mark.skipif(not FOLDER, reason="taken by python -m tests.screenshots"),
]


@pytest.fixture
def shot(opened, settings):
    """Take a picture of a page: ``shot("stopped", "switch/", narrow=True)``."""
    settings.TIME_ZONE = "UTC"
    dana = scene.operator()

    def take(name, path, prepare=lambda page: None, **look):
        page = opened(path, user=dana, **look)
        prepare(page)
        page.wait_for_load_state("networkidle")
        for part in ("nav-sidebar", "toggle-nav-sidebar"):
            page.evaluate(f"document.getElementById('{part}')?.remove()")
        page.screenshot(path=Path(FOLDER, f"{name}.png"), full_page=True)
        return page

    return take


@pytest.fixture
def night(mailbox):
    """Mail as usual, a worker that died, and then a flood that somebody stopped."""
    scene.usual_mail()
    scene.uncertain("bob@example.com", "carol@example.org")
    scene.stop()
    scene.flood(12)


def test_stopped(shot, night):
    held = Delivery.objects.filter(state="held", recipient="ann@example.com")[0]
    shot("switches", "switch/")
    shot("switches-phone", "switch/", narrow=True, dark=True)
    shot("types", "switch/types/", dark=True)
    shot("search", "delivery/?q=ann@example.com")
    shot("held", "heldmessage/")
    shot("text", f"delivery/{held.id}/text/")
    shot("uncertain", "delivery/uncertain/", narrow=True)


def test_let_go(shot, night):
    scene.resume()

    def begin(page):
        page.get_by_label("Reason").fill("Still of use; the loop is fixed")
        page.get_by_label("Type 12").fill("12")

    def look_at_canary(page):
        begin(page)
        page.get_by_role("button", name="Release").click()
        page.get_by_text("The canary is out").wait_for()

    shot("release", "heldmessage/release/", begin)
    shot("canary", "heldmessage/release/", look_at_canary)
