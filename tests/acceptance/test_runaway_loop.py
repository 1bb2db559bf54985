"""The runaway loop on the chosen database, stopped by a limit on a type that nobody named."""

from __future__ import annotations

from example_project.demo import runaway_loop
from tests.acceptance.conftest import OpenSite

TICKETS = 200  # and 20 owners


def unheard(done: int, total: int) -> None:
    """Nobody watches the progress of a test."""


def test_without_the_guard_everybody_is_mailed_again_and_again(open_site: OpenSite) -> None:
    result = runaway_loop.replay(open_site(False, tickets=TICKETS), unheard)
    assert (result.people, result.most_to_one) == (20, 20)
    assert result.mails == 20 * 21 // 2


def test_with_the_guard_nobody_gets_more_than_the_limit_and_one_alert_is_sent(
    open_site: OpenSite,
) -> None:
    result = runaway_loop.replay(open_site(True, tickets=TICKETS), unheard)
    assert result.most_to_one == runaway_loop.LIMIT
    assert result.mails == 20 * runaway_loop.LIMIT - 1  # the last owner had one turn only
    assert result.alerts == 1
