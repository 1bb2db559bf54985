"""The page on rules says what the rules are, and its example is one."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from django.core.mail import EmailMessage

from notifyguard.channels.email import describe
from notifyguard.conf import SWITCHABLE, read
from notifyguard.decision import Sending
from notifyguard.rules import DEFAULT, Candidate, decide
from notifyguard.switchboard import NO_LEDGER
from tests.settings import BASE_DIR

PAGE = (BASE_DIR / "docs/reference/rules.md").read_text()
BLOCK = re.compile(r"```python\n(.+?)```", re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)
HOW_TO = ["staging", "late-mail"]
SETTINGS = [
    block
    for page in (PAGE, *((BASE_DIR / f"docs/how-to/{name}.md").read_text() for name in HOW_TO))
    for block in BLOCK.findall(page)
    if "NOTIFYGUARD = {" in block and "EXTRA_RULES" not in block
]
ACTIONS = {"report": "reported", "hold": "held", None: ""}


def test_the_settings_know_which_rules_may_be_switched():
    assert tuple(rule.name for rule in DEFAULT if rule.optional) == SWITCHABLE


def test_the_page_lists_the_rules_in_their_order():
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+?) \|$", PAGE.split("*Held*")[0], re.MULTILINE)
    assert [name for name, _ in rows] == [rule.name for rule in DEFAULT]
    for rule, (_, happens) in zip(DEFAULT, rows, strict=True):
        assert happens.startswith(ACTIONS[rule.action])


def test_the_candidate_is_as_the_page_lists_it():
    listed = re.findall(
        r"^\| ((?:`[\w.]+`(?:, )?)+) \|", PAGE.split("`candidate.`")[1], re.MULTILINE
    )
    names = [name for row in listed for name in re.findall(r"`([\w.]+)`", row)]
    assert "dispatch.message" in names
    candidate = candidate_of(EmailMessage("A", "B"), {})
    for name in names:
        found = candidate
        for part in name.split("."):
            found = getattr(found, part)


@pytest.fixture
def project_rules(monkeypatch):
    """The page's module, where its settings look for it."""
    module = ModuleType("project.rules")
    monkeypatch.setitem(sys.modules, "project", ModuleType("project"))
    monkeypatch.setitem(sys.modules, "project.rules", module)
    (source,) = [block for block in BLOCKS if block.startswith("# project/rules.py")]
    exec(source, vars(module))


@pytest.mark.parametrize(
    ("body", "type", "sending"),
    [
        ("See https://example.com", "ticket.modified", None),
        ("See http://localhost:8000", "ticket.modified", Sending.HOLD),
        ("See http://localhost:8000", "ops.report", Sending.OPEN),
    ],
)
def test_the_example_runs(project_rules, body, type, sending):
    (source,) = [block for block in BLOCKS if block.startswith("# settings.py")]
    written: dict[str, object] = {}
    exec(source, written)
    message = EmailMessage("A", body)
    message._notifyguard_type = type
    decision = decide(candidate_of(message, written["NOTIFYGUARD"]))
    assert (decision.sending if decision else None) == sending


@pytest.mark.parametrize("block", SETTINGS)
def test_the_settings_on_the_pages_are_understood(block):
    written: dict[str, object] = {}
    exec(block, written)
    assert read(written["NOTIFYGUARD"]).problems == ()


def candidate_of(message, settings):
    return Candidate(describe(message, object()), "ann@example.com", read(settings), NO_LEDGER)
