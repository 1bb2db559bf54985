"""What an operator does at night, in a real browser: by mouse, by keyboard, without JavaScript."""

from __future__ import annotations

import re

import pytest

from notifyguard.models import Delivery, Event, Switch
from tests.browser import scene
from tests.mailbox import doorbell, letter, states
from tests.operators import PAGES
from tests.spooled import SpooledTaskFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("chromium"),
    pytest.mark.needs("playwright"),
]


def click(page, name, role="button"):
    page.get_by_role(role, name=name).first.click()


def shows(page, text):
    page.get_by_text(text).first.wait_for()


def press(page, name, role="button", key="Enter"):
    """Reach something by the Tab key alone, and press it."""
    tab_to(page, page.get_by_role(role, name=name))
    page.keyboard.press(key)


def type_into(page, label, text):
    """Reach a field by the Tab key alone, and write over what it says."""
    tab_to(page, page.get_by_label(label))
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type(text)


def tab_to(page, wanted):
    wanted.first.wait_for()
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.first.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"no Tab leads to {wanted}")


def test_stop_look_canary_release_by_mouse(opened, mailbox):
    page = opened("switch/")
    shows(page, "Mail is open.")
    click(page, "Stop all but critical")
    page.get_by_label("Reason").fill("Ann gets each mail six times")
    click(page, "Put it on record")
    shows(page, "Stopped: all types but critical ones")
    scene.flood(6)
    assert states() == ["held"] * 6
    look_at_one(page)
    open_again(page)
    let_go(page, mailbox)


def look_at_one(page):
    click(page, re.compile("^Held"), "link")
    click(page, re.compile("^Look at"), "link")
    click(page, "Ticket 4211 was modified", "link")
    shows(page, "Ann gets each mail six times")
    click(page, "Read what it says", "link")
    shows(page, "which you own.")
    assert Event.objects.filter(action="read_body", actor="dana").exists()


def open_again(page):
    click(page, "Switches", "link")
    click(page, "Open again", "link")
    page.get_by_label("Reason").fill("The loop is fixed")
    page.get_by_label("Type resume").fill("resume")
    click(page, "Open again")
    shows(page, "Mail is open.")


def let_go(page, mailbox):
    click(page, re.compile("^Held"), "link")
    click(page, re.compile("^Release…"), "link")
    page.get_by_label("First, as a canary").fill("1")
    page.get_by_label("Reason").fill("They are of use")
    page.get_by_label("Type 6").fill("6")
    click(page, "Release")
    shows(page, "The canary is out.")
    assert mailbox.recipients() == ["ann@example.com"]
    page.get_by_label("Reason").fill("Ann has hers, once")
    click(page, "It looks well")
    shows(page, "6 of 6 let go")
    assert len(mailbox.recipients()) == 6


def test_stop_look_canary_release_by_keyboard(opened, mailbox):
    page = opened("switch/")
    press(page, "Stop everything")
    shows(page, "It stands.")
    type_into(page, "Reason", "A flood")
    press(page, "Put it on record")
    shows(page, "Stopped: everything, critical types too")
    scene.flood(2)
    press(page, re.compile("^Held"), "link")
    press(page, re.compile("^Look at"), "link")
    press(page, "Ticket 4211 was modified", "link")
    press(page, "Read what it says", "link")
    shows(page, "which you own.")
    press(page, "Switches", "link")
    press(page, "Open again", "link")
    type_into(page, "Reason", "Over")
    type_into(page, "Type resume", "resume")
    page.keyboard.press("Enter")
    shows(page, "Mail is open.")
    let_go_by_keyboard(page, mailbox)


def let_go_by_keyboard(page, mailbox):
    press(page, re.compile("^Held"), "link")
    press(page, re.compile("^Release…"), "link")
    type_into(page, "First, as a canary", "1")
    type_into(page, "Reason", "Of use")
    type_into(page, "Type 2", "2")
    page.keyboard.press("Enter")
    shows(page, "The canary is out.")
    assert mailbox.recipients() == ["ann@example.com"]
    type_into(page, "Reason", "Ann has hers, once")
    press(page, "It looks well")
    shows(page, "2 of 2 let go")
    assert len(mailbox.recipients()) == 2


def test_with_javascript_off_the_switches_work(opened, mailbox):
    page = opened("switch/", scripts=False)
    page.get_by_label("Types to stop").fill("ticket.*")
    click(page, "Stop these types")
    page.get_by_label("Reason").fill("A flood")
    click(page, "Put it on record")
    shows(page, "Stopped: ticket.*")
    letter("ann@example.com").send()
    assert states() == ["held"]
    click(page, "Open again", "link")
    page.get_by_label("Reason").fill("Over")
    page.get_by_label("Type resume").fill("resume")
    click(page, "Open again")
    shows(page, "Mail is open.")
    assert not Switch.objects.exists()


def test_did_ann_get_it_and_why_not(opened, mailbox):
    scene.usual_mail()
    scene.stop()
    scene.flood(2)
    page = opened("")
    page.get_by_label("Did they get it").fill("Ann@Example.com")
    page.keyboard.press("Enter")
    shows(page, "Newest first, for Ann@Example.com")
    stories = page.locator(".ng-story").all_inner_texts()
    assert "A migration touches every ticket" in stories[0]
    assert len(stories) == 3
    page.get_by_label("Did they get it").fill("anm@example.com")
    page.keyboard.press("Enter")
    click(page, "ann@example.com", "link")
    shows(page, "Newest first, for ann@example.com")


def test_somebody_is_found_by_keyboard(opened, mailbox):
    scene.usual_mail()
    page = opened("")
    type_into(page, "Did they get it", "carol@example.org")
    page.keyboard.press("Enter")
    shows(page, "Newest first, for carol@example.org")
    press(page, "What is new this week", "link")
    shows(page, "newsletter.weekly")


def test_uncertain_deliveries_are_resolved(opened, mailbox):
    scene.uncertain("bob@example.com", "carol@example.org")
    page = opened("delivery/uncertain/")
    shows(page, "<0.4199@worker-2.example.com>")
    page.get_by_label("bob@example.com").check()
    page.get_by_label("It was sent: the log").check()
    page.get_by_label("Where and how").fill("Accepted, says the log of mx1")
    click(page, "Write it down")
    shows(page, "1 resolved.")
    assert states() == ["sent", "uncertain"]


def test_uncertain_deliveries_are_resolved_by_keyboard(opened, mailbox):
    scene.uncertain("bob@example.com", "carol@example.org")
    page = opened("delivery/uncertain/")
    tab_to(page, page.get_by_label("bob@example.com"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_label("It was sent: the log"))
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    type_into(page, "Where and how", "The log of mx1 does not know it")
    press(page, "Write it down")
    shows(page, "1 resolved.")
    assert states() == ["failed", "uncertain"]


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_spooled_tasks_are_cancelled(opened, mailbox, narrow):
    wanted, other = SpooledTaskFactory(name="tickets.tasks.remind"), SpooledTaskFactory()
    page = opened("", narrow=narrow, dark=narrow)
    click(page, "Spooled", "link")
    shows(page, "tickets.views.close")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(FAINT) == []
    page.get_by_label("tickets.tasks.remind").check()
    page.get_by_label("Reason").fill("The ticket was merged")
    click(page, "Cancel them")
    shows(page, "Cancelled: 1.")
    assert [row.pk for row in type(other).objects.all()] == [other.pk]
    assert wanted.task_id not in page.content()


def test_the_html_of_a_message_does_nothing_and_asks_nobody(opened, mailbox):
    with doorbell() as bell:
        scene.stop()
        scene.flood(1, elsewhere=f"http://127.0.0.1:{bell.port}")
        page = opened("")
        answered = []
        page.on("response", lambda response: answered.append(response.url))
        page.goto(f"{page.url}delivery/{Delivery.objects.get().id}/text/")
        frame = page.frame_locator("iframe")
        frame.get_by_text("Hello Ann").wait_for()
        assert not bell.rung
        frame.get_by_role("link", name="See the ticket").click()
        page.wait_for_load_state("networkidle")
        assert "owned" not in page.title()
        # A browser may connect when the button goes down, but says nothing to the other side.
        assert [url for url in answered if str(bell.port) in url] == []
        assert not bell.heard
        # Nor when somebody opens the frame's address by itself.
        page.goto(f"{page.url.removesuffix('text/')}html/")
        shows(page, "Hello Ann")
        assert page.title() == ""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_at_360_pixels_nothing_has_to_be_scrolled_sideways(opened, mailbox, dark):
    scene.usual_mail()
    scene.uncertain("bob.with.a.rather.long.name@subdomain.of.some.example.com")
    scene.stop(reason=f"A migration touches every ticket: https://example.com/{'x' * 80}")
    scene.flood(2)
    page = opened("", narrow=True, dark=dark)
    start = page.url
    held = Delivery.objects.filter(state="held")[0].id
    paths = (*PAGES, f"delivery/{held}/", f"delivery/{held}/text/")
    for path in paths:
        page.goto(f"{start}{path}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_is_written_can_be_read(opened, mailbox, dark):
    """WCAG's contrast of 4.5, of every text on the pages with the most colours."""
    scene.usual_mail()
    scene.uncertain("bob@example.com")
    scene.stop()
    scene.flood(1)
    page = opened("", dark=dark)
    start = page.url
    for path in ("switch/", "switch/types/", "delivery/", "delivery/uncertain/", "heldmessage/"):
        page.goto(f"{start}{path}")
        assert page.evaluate(FAINT) == [], path


# Texts whose colour is too near to that behind them.
FAINT = """() => {
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = each => {
        for (; each; each = each.parentElement) {
            const found = parts(getComputedStyle(each).backgroundColor);
            if (found.length === 3 || found[3] > 0) return found;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("#content *")].filter(each =>
        each.checkVisibility() && !each.closest(".visually-hidden") &&
        [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    ).flatMap(each => {
        const [a, b] = [light(parts(getComputedStyle(each).color)), light(behind(each))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return contrast < 4.5 ? [`${each.textContent.trim().slice(0, 40)}: ${contrast}`] : [];
    });
}"""
