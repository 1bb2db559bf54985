"""What the documentation points at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.settings import BASE_DIR

PAGES = [BASE_DIR / "README.md", *sorted((BASE_DIR / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BASE_DIR)))
def test_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).is_file()] == []


def test_every_page_can_be_reached_from_the_index() -> None:
    linked = {(BASE_DIR / "docs" / target).resolve() for target in LINK.findall(_index())}
    assert [page for page in PAGES[1:] if page.name != "index.md" and page not in linked] == []


def test_every_picture_is_shown_and_together_they_are_small() -> None:
    pictures = {*(BASE_DIR / "docs" / "images").iterdir()}
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in LINK.findall(page.read_text())
    }
    assert pictures <= shown
    assert sum(picture.stat().st_size for picture in pictures) < 1_500_000


def _index() -> str:
    return (BASE_DIR / "docs" / "index.md").read_text()
