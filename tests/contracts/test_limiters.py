"""What every limiter promises, whatever it counts in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifyguard.limiters import MOST, Request
from tests.limiting import granted, limit, quota, request
from tests.smtp import PROJECT

PROCESSES = 8


def ask(stage, *quotas, times=1):
    return [granted(stage.limiter, [request(*quotas)])[0] for _ in range(times)]


def test_exactly_the_number_of_a_limit_leaves(stage):
    assert ask(stage, quota("ann", 3, 60), times=5) == [True] * 3 + [False] * 2


def test_one_call_counts_in_order(stage):
    requests = [request(quota("ann", 3, 60)) for _ in range(5)]
    assert granted(stage.limiter, requests) == [True] * 3 + [False] * 2


def test_there_is_room_again_when_the_window_has_passed_and_not_before(stage):
    ask(stage, quota("ann", 2, 60))
    stage.age(30)
    ask(stage, quota("ann", 2, 60))
    stage.age(29)
    assert ask(stage, quota("ann", 2, 60)) == [False]
    stage.age(2)
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_a_refusal_says_when_there_will_be_room(stage):
    ask(stage, quota("ann", 1, 60))
    stage.age(20)
    (refusal,) = stage.limiter.acquire([request(quota("ann", 1, 60))])
    assert 35 < refusal.seconds <= 40.7
    assert refusal.quota.limit == limit(1, 60)


def test_those_who_wait_in_one_call_are_told_one_after_the_other(stage):
    ask(stage, quota("ann", 2, 60))
    stage.age(20)
    ask(stage, quota("ann", 2, 60))
    refusals = stage.limiter.acquire([request(quota("ann", 2, 60)) for _ in range(2)])
    assert [round(refusal.seconds, -1) for refusal in refusals] == [40, 60]


def test_recipients_are_counted_apart(stage):
    assert ask(stage, quota("ann", 1, 60)) + ask(stage, quota("bob", 1, 60)) == [True, True]


def test_it_counts_in_all_quotas_or_in_none(stage):
    ask(stage, quota("ann", 1, 60))
    # There is room for all together, and none for Ann: she takes nothing of it.
    assert ask(stage, quota(None, 2, 60), quota("ann", 1, 60), times=9) == [False] * 9
    assert ask(stage, quota(None, 2, 60), quota("bob", 9, 60), times=3) == [True, True, False]


def test_two_limits_of_one_counter_count_a_delivery_once(stage):
    both = quota("ann", 2, 60), quota("ann", 3, 3600)
    assert ask(stage, *both, times=3) == [True, True, False]
    stage.age(61)
    assert ask(stage, *both, times=2) == [True, False]


def test_another_limit_on_the_same_counter_sees_what_was_counted_before(stage):
    ask(stage, quota("ann", 5, 60), times=4)
    assert ask(stage, quota("ann", 3, 60)) == [False]
    assert ask(stage, quota("ann", 6, 60), times=3) == [True, True, False]


def test_what_is_refunded_is_free_again(stage):
    first, second, third = (request(quota("ann", 2, 60)) for _ in range(3))
    assert granted(stage.limiter, [first, second, third]) == [True, True, False]
    stage.limiter.refund([first, third])
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_a_refund_frees_the_place_in_time_of_what_it_was_for(stage):
    early, late = request(quota("ann", 2, 60)), request(quota("ann", 2, 60))
    stage.limiter.acquire([early])
    stage.age(50)
    stage.limiter.acquire([late])
    stage.limiter.refund([late])
    ask(stage, quota("ann", 2, 60))
    stage.age(20)
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_a_refund_of_what_never_counted_changes_nothing(stage):
    ask(stage, quota("ann", 2, 60))
    stage.limiter.refund([request(quota("ann", 2, 60)), request(quota("bob", 2, 60))])
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_it_counts_a_moment_longer_than_its_window(stage):
    """It reaches the server after it was counted, the next one perhaps at once."""
    ask(stage, quota("ann", 1, 1000))
    stage.age(1004)
    assert ask(stage, quota("ann", 1, 1000)) == [False]
    stage.age(2)
    assert ask(stage, quota("ann", 1, 1000)) == [True]


def test_what_left_late_counts_from_then(stage):
    first, second = request(quota("ann", 2, 60)), request(quota("ann", 2, 60))
    assert granted(stage.limiter, [first, second]) == [True, True]
    stage.age(50)
    stage.limiter.renew([first])
    stage.age(20)
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]
    stage.age(45)
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_what_does_not_count_is_not_counted_anew(stage):
    ask(stage, quota("ann", 2, 60))
    refunded = request(quota("ann", 2, 60))
    stage.limiter.acquire([refunded])
    stage.limiter.refund([refunded])
    stage.limiter.renew([refunded, request(quota("bob", 2, 60))])
    assert ask(stage, quota("ann", 2, 60), times=2) == [True, False]


def test_nothing_asked_is_nothing_answered(stage):
    assert stage.limiter.acquire([]) == []
    stage.limiter.refund([])
    stage.limiter.renew([])


def test_a_whole_batch_to_many_people_is_one_call(stage):
    people = [f"person{number}@example.com" for number in range(MOST)]
    everybody = [request(quota(who, 1, 60), quota(None, MOST - 1, 3600)) for who in people]
    assert granted(stage.limiter, everybody) == [True] * (MOST - 1) + [False]
    assert not any(granted(stage.limiter, everybody))


@dataclass
class Reference:
    """The meaning of a limit, written down as simply as can be: count the window."""

    now: float = 0
    counted: list[tuple[str, float]] = field(default_factory=list)

    def room(self, who: str, number: int, seconds: float) -> bool:
        return sum(name == who and at >= self.now - seconds for name, at in self.counted) < number

    def acquire(self, asked: Request) -> bool:
        if all(
            self.room(str(each.recipient), each.limit.number, each.limit.seconds)
            for each in asked.quotas
        ):
            self.counted += {(str(each.recipient), self.now) for each in asked.quotas}
            return True
        return False


# Far enough apart that the time which the test itself takes decides nothing.
WINDOWS = st.sampled_from([15, 45, 95])
QUOTAS = st.builds(quota, st.sampled_from(["ann", "bob", None]), st.integers(1, 4), WINDOWS)
REQUESTS = st.lists(QUOTAS, min_size=1, max_size=3).map(lambda quotas: request(*quotas))
STEPS = st.lists(
    st.one_of(st.sampled_from([10.0, 40.0, 100.0]), st.lists(REQUESTS, max_size=6)), max_size=10
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_any_demand_gets_what_the_definition_says(stage, steps):
    stage.age(100_000)  # what the example before counted is gone
    reference = Reference()
    for step in steps:
        if isinstance(step, float):
            stage.age(step)
            reference.now += step
        else:
            expected = [reference.acquire(asked) for asked in step]
            assert granted(stage.limiter, step) == expected


# Forked before anything is connected: to start Django eight times takes longer than the race.
RACE = """
import os, sys, django
django.setup()
from tests.limiting import InDatabase, granted, quota, redis_limiter, request
url, processes = sys.argv[1], int(sys.argv[2])

def race():
    limiter = redis_limiter(url) if url else InDatabase().limiter
    for number in range(40):
        wanted = [request(quota(None, 100, 3600), quota(f"person{number % 3}", 50, 3600))]
        yield from granted(limiter, wanted)

for _ in range(processes):
    if not os.fork():
        os.write(1, b"won\\n" * sum(race()))
        os._exit(0)
sys.exit(any(os.wait()[1] for _ in range(processes)))
"""


def test_of_processes_that_race_exactly_as_many_leave(stage, process_environment):
    command = [sys.executable, "-W", "error", "-c", RACE, stage.url, str(PROCESSES)]
    raced = subprocess.run(
        command, env=process_environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=90
    )
    assert raced.returncode == 0
    assert raced.stdout.count("won") == 100
