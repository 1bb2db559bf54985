"""What an integration has sweepers do: it is done, and no mail waits for it or fails with it."""

from __future__ import annotations

import logging

import pytest
from django.db import DatabaseError

from notifyguard import sweeper
from tests.mailbox import states
from tests.operators import operate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chores(monkeypatch):
    """No chores but those of the test; none has failed yet."""
    monkeypatch.setattr(sweeper, "_chores", {})
    monkeypatch.setattr(sweeper, "_failing", set())


def failing(error):
    def chore(go_on):
        raise error

    return chore


def test_each_is_done_and_said(chores, full):
    sweeper.do_too("cups washed", lambda go_on: 3 * go_on())
    sweeper.do_too("floors swept", lambda go_on: 0)
    said = operate("sweep")
    assert "3 cups washed" in said
    assert "floors" not in said
    assert sweeper.sweep().chores == {"cups washed": 3, "floors swept": 0}


@pytest.mark.parametrize(
    "error", [OSError("no broker"), DatabaseError("no table: ann@example.com")]
)
def test_one_that_fails_keeps_no_mail_and_no_other_and_is_told_once(
    chores, three_due, caplog, error
):
    sweeper.do_too("cups washed", failing(error))
    sweeper.do_too("floors swept", lambda go_on: 1)
    assert sweeper.sweep().chores == {"floors swept": 1}
    assert states() == ["sent"] * 3
    sweeper.sweep()
    told = [record for record in caplog.records if "no cups washed" in record.message]
    assert [record.levelno for record in told] == [logging.ERROR]
    assert "ann@example.com" not in caplog.text
    sweeper.do_too("cups washed", lambda go_on: 1)  # it works again, and fails again
    sweeper.sweep()
    sweeper.do_too("cups washed", failing(error))
    sweeper.sweep()
    assert len([record for record in caplog.records if "no cups washed" in record.message]) == 2


def test_one_that_would_go_on_for_ever_has_its_turn_and_no_more(chores, three_due, monkeypatch):
    monkeypatch.setattr(sweeper, "TURN", 0.05)

    def endless(go_on):
        count = 0
        while go_on():
            count += 1
        return count

    sweeper.do_too("cups washed", endless)
    assert sweeper.sweep().chores["cups washed"] > 0
    assert states() == ["sent"] * 3


def test_who_is_told_to_end_begins_nothing(chores, three_due):
    sweeper.do_too("cups washed", lambda go_on: int(go_on()))
    assert sweeper.sweep(lambda delivered: False).chores == {"cups washed": 0}


def test_in_a_long_sweep_it_is_done_again_and_again(chores, three_due, monkeypatch):
    monkeypatch.setattr(sweeper, "LOOK", 0)
    monkeypatch.setattr(sweeper, "BATCH", 1)
    sweeper.do_too("cups washed", lambda go_on: 1)
    assert sweeper.sweep().chores["cups washed"] == 4  # at the start, and before each batch
