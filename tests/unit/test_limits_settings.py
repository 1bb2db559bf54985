"""How limits are written, and what a slip in one does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyguard import checks, conf
from notifyguard.conf.limits import LONGEST, MOST, UNITS
from notifyguard.decision import Sending


def written(**options: Any) -> conf.Settings:
    return conf.read({"TYPES": {"ticket.*": options}})


@pytest.mark.parametrize(
    ("text", "number", "seconds"),
    [
        ("5/hour", 5, 3600),
        ("20/day", 20, 86_400),
        ("10/15 minutes", 10, 900),
        ("1/second", 1, 1),
        (" 7 / 2 Weeks ", 7, 1_209_600),
        ("1000000/366 days", MOST, LONGEST),
    ],
)
def test_a_limit_is_a_number_and_a_time(text: str, number: int, seconds: int) -> None:
    settings = written(limits=[text])
    assert settings.problems == ()
    (limit,) = settings.for_type("ticket.new").limits
    assert (limit.number, limit.seconds, limit.pattern) == (number, seconds, "ticket.*")
    assert str(limit) == text.strip()


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("5/hour", "Write a list of limits"),
        ({"hour": 5}, "Write a list of limits"),
        (None, "Write a list of limits"),
        ([5], "Item 0 is 5. Write a number, a slash and a time"),
        (["5/hour", "5 per hour"], 'Item 1 is "5 per hour". Write a number, a slash and a time'),
        (["5/huor"], 'Did you mean "hour"?'),
        (["5/hr"], "Times are second, minute, hour, day, week"),
        (["5/month"], "Times are second, minute, hour, day, week"),
        (["0/hour"], 'write "sending": "hold" instead'),
        (["-1/hour"], "Write a number, a slash and a time"),
        (["1.5/hour"], "Write a number, a slash and a time"),
        (["1000001/hour"], "Write a number from 1 to 1,000,000"),
        (["5/0 hours"], "Write a time from 1 second to 366 days"),
        (["5/367 days"], "Write a time from 1 second to 366 days"),
        (["٥/hour", "5/hour\n\n;"], "a slash and a time"),
    ],
)
@pytest.mark.parametrize("option", ["limits", "type_limits"])
def test_a_slip_names_the_fix_and_holds_what_it_may_have_stopped(
    option: str, value: Any, fix: str
) -> None:
    settings = written(**{option: value})
    (problem,) = settings.problems
    assert f'NOTIFYGUARD["TYPES"]["ticket.*"]["{option}"]' in problem.text
    assert fix in problem.fix
    assert settings.for_type("ticket.new").sending is Sending.HOLD
    assert settings.sending is Sending.OPEN


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,15} ?/ ?[0-9]{0,15} ?[a-z]{0,8}")))
def test_any_text_is_a_limit_or_a_problem(text: str) -> None:
    settings = written(limits=[text])
    limits = settings.for_type("ticket.new").limits
    assert bool(limits) != bool(settings.problems)
    assert all(1 <= each.number <= MOST and 1 <= each.seconds <= LONGEST for each in limits)


def test_a_slip_in_the_name_of_a_limit_is_found() -> None:
    (problem,) = written(limit=["5/hour"]).problems
    assert problem.fix.startswith('Did you mean "limits"?')


def test_a_limit_under_a_broken_pattern_holds_everything() -> None:
    assert conf.read({"TYPES": {"tick?t": {"limits": ["5/hour"]}}}).sending is Sending.HOLD
    assert conf.read({"TYPES": {"tick?t": {"limits": []}}}).sending is Sending.OPEN


def test_a_slip_in_on_limit_leaves_the_limits() -> None:
    options = written(limits=["5/hour"], on_limit="dely").for_type("ticket.new")
    assert (len(options.limits), options.on_limit) == (1, "hold")


def test_the_most_specific_pattern_that_gives_limits_decides() -> None:
    settings = conf.read(
        {
            "TYPES": {
                "*": {"limits": ["9/day"], "type_limits": ["99/day"]},
                "ticket.*": {"limits": ["5/hour"]},
                "ticket.new": {"on_limit": "delay"},
                "ticket.old": {"limits": []},
            }
        }
    )
    options = settings.for_type("ticket.new")
    assert [(limit.written, limit.pattern) for limit in options.limits] == [("5/hour", "ticket.*")]
    assert [(limit.written, limit.pattern) for limit in options.type_limits] == [("99/day", "*")]
    assert options.on_limit == "delay"
    assert settings.for_type("ticket.old").limits == ()


def test_critical_types_obey_limits_of_a_pattern_that_names_them() -> None:
    types: dict[str, Any] = {"*": {"limits": ["1/day"]}, "login.*": {"critical": True}}
    assert conf.read({"TYPES": types}).for_type("login.code").limits == ()
    types["login.*"]["limits"] = ["9/day"]
    (limit,) = conf.read({"TYPES": types}).for_type("login.code").limits
    assert limit.number == 9


def test_the_units_are_what_they_say() -> None:
    assert list(UNITS.values()) == [1, 60, 3600, 24 * 3600, 7 * 24 * 3600]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("redis://localhost", 'NOTIFYGUARD["LIMITER"] is "redis://localhost"'),
        ({"BACKEND": "redis"}, 'NOTIFYGUARD["LIMITER"]["BACKEND"] is "redis"'),
        ({"LOCATION": 6379}, 'NOTIFYGUARD["LIMITER"]["LOCATION"] is 6379'),
        ({"OPTIONS": [1]}, 'NOTIFYGUARD["LIMITER"]["OPTIONS"] is [1]'),
        ({"OPTIONS": {1: 2}}, 'NOTIFYGUARD["LIMITER"]["OPTIONS"] is {1: 2}'),
        ({"BACKEN": "a.b"}, 'NOTIFYGUARD["LIMITER"]["BACKEN"] is not a setting'),
    ],
)
def test_a_slip_in_the_limiter_is_named_and_the_database_counts(value: Any, text: str) -> None:
    settings = conf.read({"LIMITER": value})
    (problem,) = settings.problems
    assert problem.text.startswith(text)
    assert settings.limiter == conf.LimiterSettings()
    assert settings.sending is Sending.OPEN


@pytest.mark.parametrize("path", ["no.such.Limiter", "notifyguard.limiters.base.Quota"])
def test_a_limiter_that_is_none_fails_the_checks(settings: Any, path: str) -> None:
    settings.NOTIFYGUARD = {"LIMITER": {"BACKEND": path}}
    (found,) = checks.check_settings(None)
    assert found.id == "notifyguard.E003"
    assert 'NOTIFYGUARD["LIMITER"]["BACKEND"]' in found.msg
