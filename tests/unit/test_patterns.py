"""Globs over notification types."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyguard import patterns

globs = st.text(alphabet="ab.*", max_size=8)
types = st.text(alphabet="ab.", max_size=12)


@given(globs, types)
def test_a_star_is_any_run_of_characters_and_all_else_is_literal(pattern: str, name: str):
    reference = ".*".join(map(re.escape, pattern.split("*")))
    assert patterns.matches(pattern, name) == bool(re.fullmatch(reference, name))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("ticket.*", "ticket.modified", True),
        ("ticket.*", "ticket.owner.changed", True),
        ("ticket.*", "ticket", False),
        ("ticket.*", "tickets.modified", False),
        ("ticket.modified", "Ticket.modified", False),
        ("ab*ba", "aba", False),
        ("*a*a", "a", False),
        ("*", "", True),
        ("a?c", "abc", False),
        ("[a]", "a", False),
    ],
)
def test_matches(pattern: str, name: str, expected: bool):
    assert patterns.matches(pattern, name) is expected


def test_a_hostile_pattern_costs_no_time():
    assert not patterns.matches("*a" * 2000 + "b", "a" * 20_000)


def test_the_most_specific_pattern_comes_first():
    ranked = ["ticket.modified", "ticket.mod*", "ticket.*ed", "ticket.*", "t*", "*.modified", "*"]
    assert patterns.matching(reversed(ranked), "ticket.modified") == ranked


@given(st.lists(globs, unique=True), st.randoms())
def test_the_order_in_which_patterns_are_written_decides_nothing(written, random):
    shuffled = written.copy()
    random.shuffle(shuffled)
    assert patterns.matching(written, "ab.a") == patterns.matching(shuffled, "ab.a")


@pytest.mark.parametrize("pattern", ["*", "**"])
def test_a_pattern_of_stars_names_nothing(pattern: str):
    assert patterns.names_nothing(pattern)
    assert not patterns.names_nothing(pattern + "a")


@pytest.mark.parametrize("pattern", ["", None, 7, "a\nb", " a", "a?", "[ab]"])
def test_what_would_match_nothing_in_silence_is_refused(pattern: object):
    assert patterns.fault(pattern)


@pytest.mark.parametrize("pattern", ["*", "ticket.*", "tickets.signals.<lambda>", "büro.öffnet"])
def test_a_usable_pattern_has_no_fault(pattern: str):
    assert patterns.fault(pattern) is None
