"""The text that travels: it says again what was said, and what cannot be read lets nothing out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifyguard.context import Ambient, Suppression, travelling
from notifyguard.context.travelling import Said, joined, read, said_by, written
from notifyguard.notification import notification_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVERYTHING = Suppression("*", "backfill", since=NOW)
INFORM = Suppression("ticket.*", "tell owners", lifted=True, since=NOW)
MIGRATE = Suppression("*", "migrate", automatic=True, since=NOW)


def test_what_is_written_is_read():
    said = Said(
        (EVERYTHING, INFORM, MIGRATE, replace(EVERYTHING, in_doubt=True)),
        notification_of("ticket.modified", "4711:3", 2 * HOUR, NOW + HOUR, "4711"),
        "web",
        NOW,
        ("tickets.tasks.import", "tickets.tasks.owner"),
    )
    assert read(written(said)) == said
    assert written(said).isascii()


def test_nothing_is_two_characters_long():
    assert written(Said()) == "{}"
    assert read("{}") == read(None) == Said()


def test_a_suppression_travels_from_when_it_was_first_enqueued_under():
    ambient = Ambient((replace(EVERYTHING, since=None), INFORM))
    later = said_by(ambient, "", NOW + HOUR)
    assert [each.since for each in later.suppressions] == [NOW + HOUR, NOW]


def test_said_again_and_again_it_is_carried_once_with_its_earliest_time():
    later = replace(EVERYTHING, since=NOW + HOUR)
    for again in (Said((EVERYTHING, later)), joined(Said((later,)), Said((EVERYTHING,)))):
        once = said_by(Ambient(again.suppressions), "", NOW)
        assert once.suppressions == (EVERYTHING,)


def test_said_again_inside_of_what_lifts_it_it_still_suppresses():
    """The copy that decides is kept: the first one alone would let the tickets out."""
    nested = said_by(Ambient((EVERYTHING, INFORM, EVERYTHING)), "", NOW)
    assert nested.suppressions == (INFORM, EVERYTHING)


def test_a_message_that_carries_something_keeps_it_and_gets_what_is_said_here():
    mine, other = notification_of("ticket.modified"), notification_of("ticket.closed")
    carried = Said((EVERYTHING,), mine, "web", NOW, ("a",))
    here = Said((INFORM,), other, "task", NOW + HOUR, ("b",))
    assert joined(carried, here) == Said((EVERYTHING, INFORM), mine, "web", NOW + HOUR, ("b",))
    assert joined(Said(), here) == here


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        b"{}",
        17,
        "[" * 100_000,
        '{"version": 2}',
        '{"suppressed": 1}',
        '{"suppressed": "*"}',
        '{"suppressed": [{"reason": "no pattern"}]}',
        '{"suppressed": [{"pattern": "*", "reason": "r", "since": "yesterday"}]}',
        '{"suppressed": [{"pattern": "*", "reason": "r", "since": 1e300}]}',
        '{"suppressed": [{"pattern": "*", "reason": "r", "since": NaN}]}',
        '{"notification": {}}',
        '{"notification": {"type": ""}}',
        '{"notification": {"type": "a", "max_age": "b"}}',
        '{"due": []}',
        '{"behind": 3}',
    ],
)
def test_what_cannot_be_read_is_suppressed_in_doubt(text):
    assert read(text) == Said((Suppression("*", travelling.UNREADABLE, in_doubt=True),))


def test_what_a_later_release_adds_is_passed_over():
    text = json.dumps({"suppressed": [{"pattern": "*", "reason": "r", "by": "ann"}], "new": 1})
    (suppression,) = read(text).suppressions
    assert (suppression.pattern, suppression.reason) == ("*", "r")
