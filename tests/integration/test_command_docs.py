"""What the documentation says to type can be typed."""

from __future__ import annotations

import re
import shlex

import pytest

from notifyguard.management.commands.notifyguard import Command
from notifyguard.management.subcommands import every_subcommand
from tests.settings import BASE_DIR

DOCS = BASE_DIR / "docs"
PAGES = [
    DOCS / "reference/command.md",
    DOCS / "how-to/stop-everything.md",
    DOCS / "how-to/stop-mail.md",
    DOCS / "how-to/release.md",
    DOCS / "how-to/protect-a-migration.md",
    DOCS / "how-to/uninstall.md",
    BASE_DIR / "README.md",
    DOCS / "how-to/staging.md",
    DOCS / "how-to/late-mail.md",
    DOCS / "how-to/schedule.md",
    DOCS / "how-to/block-addresses.md",
    DOCS / "how-to/fold.md",
    DOCS / "how-to/far-etas.md",
]
TYPED = re.compile(r"^ *(?:python )?manage\.py notifyguard (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_are_understood(page):
    lines = TYPED.findall(page.read_text())
    assert lines
    parser = Command().create_parser("manage.py", "notifyguard")
    for line in lines:
        parser.parse_args(shlex.split(line))


def test_the_reference_names_every_subcommand():
    named = re.findall(r"^\| \[`([a-z-]+)`\]", PAGES[0].read_text(), re.MULTILINE)
    assert named == [subcommand.name for subcommand in every_subcommand()]
