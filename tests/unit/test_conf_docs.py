"""``docs/reference/settings.md`` lists the settings as they are, no more and no fewer."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifyguard import checks, conf
from notifyguard.conf.schema import KNOWN_TYPES
from notifyguard.conf.table import settings_of

PAGE = Path(__file__).parents[2].joinpath("docs/reference/settings.md").read_text()
ROW = re.compile(r"^\| \[?`(\w+)`(?:\]\(#\w+\))? \| `(.+?)` \|", re.MULTILINE)


def as_written(default: str) -> Any:
    """A default as it would stand in settings."""
    return eval(default, {"timedelta": timedelta})


def table(after: str) -> dict[str, str]:
    """Name and default of the first table after the heading."""
    rows = PAGE.split(f"{after}\n", 1)[1].split("\n| --- ", 1)[1].split("\n\n", 1)[0]
    return dict(ROW.findall(rows))


@pytest.mark.parametrize(
    ("heading", "cls"),
    [
        ("# Settings", conf.Settings),
        ("### TYPES", conf.TypeOptions),
        ("### RETENTION", conf.Retention),
        ("### CELERY", conf.CelerySettings),
    ],
)
def test_a_table_lists_exactly_the_fields_of_its_class(heading: str, cls: type[Any]):
    assert list(table(heading)) == list(settings_of(cls))


@pytest.mark.parametrize(("name", "default"), table("# Settings").items())
def test_the_default_of_a_setting_is_as_documented(name: str, default: str):
    """Read as if somebody had written it out, it changes nothing."""
    assert conf.read({name: as_written(default)}) == conf.Settings()


@pytest.mark.parametrize(("name", "default"), table("### TYPES").items())
def test_the_default_of_an_option_is_as_documented(name: str, default: str):
    settings = conf.read({"TYPES": {"a": {name: as_written(default)}}})
    assert settings.problems == ()
    assert settings.for_type("a") == conf.TypeOptions()


@pytest.mark.parametrize(("name", "default"), table("### RETENTION").items())
def test_the_default_of_a_retention_is_as_documented(name: str, default: str):
    assert conf.read({"RETENTION": {name: as_written(default)}}) == conf.Settings()


@pytest.mark.parametrize(("name", "default"), table("### CELERY").items())
def test_the_default_for_celery_is_as_documented(name: str, default: str):
    assert conf.read({"CELERY": {name: as_written(default)}}) == conf.Settings()


def test_each_setting_has_a_section_of_its_own():
    sections = PAGE.split("## The settings")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", sections, re.MULTILINE) == list(settings_of(conf.Settings))


def test_the_entries_that_are_there_from_the_start_are_as_documented():
    block = PAGE.split("These entries are there from the start.")[1].split("```")[1]
    assert ast.literal_eval(block.removeprefix("python\n")) == KNOWN_TYPES


def test_the_example_of_a_message_is_a_real_one():
    (problem,) = conf.read({"TYPES": {"ticket.*": {"sending": "hlod"}}}).problems
    assert problem.text in PAGE
    assert problem.fix in PAGE


def test_every_system_check_is_documented():
    ids = re.compile(r"notifyguard\.[EW]\d{3}")
    core = Path(checks.__file__)
    files = (core, core.with_name("contrib") / "celery" / "checks.py")
    written = {each for file in files for each in ids.findall(file.read_text())}
    assert written == set(ids.findall(PAGE.split("## System checks")[1]))
