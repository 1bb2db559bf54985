"""NOTIFYGUARD_SUPPRESS: what can be written there, and what is passed on."""

from __future__ import annotations

import pytest

from notifyguard.inherited import VARIABLE, extended, read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n ", []),
        ("ticket.* backfill", [("ticket.*", "backfill")]),
        ("  *   a reason of words ", [("*", "a reason of words")]),
        ("a.* one\n\nb.* two", [("a.*", "one"), ("b.*", "two")]),
    ],
)
def test_each_line_is_a_pattern_and_a_reason(text, found):
    assert list(read(text)) == found


@pytest.mark.parametrize("text", ["ticket.*", "*", "ticket.? backfill", "1", "a.* one\nb.*"])
def test_what_has_no_pattern_or_no_reason_is_refused(text):
    with pytest.raises(ValueError, match=r"Write|Use"):
        read(text)


def test_what_is_passed_on_is_read_again_with_what_was_there():
    first = extended({"HOME": "/root"}, "a.*", "one reason")
    second = extended(first, "*", "two: with # signs")
    assert read(second[VARIABLE]) == (("a.*", "one reason"), ("*", "two: with # signs"))
    assert second["HOME"] == "/root"


@pytest.mark.parametrize(("pattern", "reason"), [("a b", "one"), ("a.*", ""), ("a.*", "x\ny")])
def test_what_would_be_read_as_something_else_is_not_passed_on(pattern, reason):
    with pytest.raises(ValueError, match="pattern"):
        extended({}, pattern, reason)
