"""Incident D on the chosen database: workers as processes, one of them killed."""

from __future__ import annotations

from example_project.demo import incident_d
from tests.acceptance.conftest import OpenSite

SLIPS = 100


def unheard(done: int, total: int) -> None:
    """Nobody watches the progress of a test."""


def test_without_the_guard_slips_arrive_twice_though_the_queue_was_cleaned(
    open_site: OpenSite,
) -> None:
    assert incident_d.replay(open_site(False), SLIPS, unheard).repeated > 0


def test_with_the_guard_each_slip_arrives_once_and_none_while_it_is_held(
    open_site: OpenSite,
) -> None:
    result = incident_d.replay(open_site(True), SLIPS, unheard, workers=8)
    assert (result.repeated, result.while_held) == (0, 0)
    assert result.canary == incident_d.CANARY
    assert result.reached + result.uncertain >= SLIPS
    assert result.uncertain <= 1  # one worker was killed
    assert result.harm == 0
