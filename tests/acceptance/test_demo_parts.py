"""What the demo says must follow from the figures, and be readable on any screen."""

from __future__ import annotations

import io
from dataclasses import asdict, replace

import pytest

from example_project.demo import celery_story, incident_e, redis, story
from example_project.demo.deployment import DemoError
from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_a_celery import IncidentAWithCelery
from example_project.demo.incident_b import IncidentB
from example_project.demo.incident_c import IncidentC
from example_project.demo.incident_d import IncidentD
from example_project.demo.incident_e import IncidentE
from example_project.demo.redis import running_redis
from example_project.demo.runaway_loop import RunawayLoop
from example_project.demo.screen import Bar, table
from example_project.demo.story import Both, drawn, rows_of_a, what_you_saw
from example_project.progress import with_progress

GOOD_A = IncidentA(
    tickets=500,
    changed_mails=0,
    resets=1,
    resets_meanwhile=1,
    owners=50,
    told_by_upgrade=50,
    told_again=0,
)
BAD_A = replace(GOOD_A, changed_mails=500, told_again=50)
GOOD_C = IncidentC(
    newsletters=40,
    servers=2,
    mails=40,
    next_readers=30,
    blank_mails=0,
    reached=40,
    mailed_again=0,
)
BAD_C = replace(GOOD_C, mails=66, mailed_again=26, blank_mails=30)
GOOD_LOOP = RunawayLoop(people=30, mails=59, most_to_one=2, alerts=1)
BAD_LOOP = replace(GOOD_LOOP, mails=465, most_to_one=30, alerts=0)
GOOD_D = IncidentD(slips=90, reached=89, repeated=0, while_held=0, canary=10, uncertain=1)
GOOD_B = IncidentB(
    people=20,
    reached=20,
    repeated=0,
    most_copies=1,
    told_ahead=1,
    refused=280,
    to_busy=2,
    alerts=1,
)
BAD_B = replace(GOOD_B, repeated=20, most_copies=15, told_ahead=0, refused=0, to_busy=129, alerts=0)
GOOD_E = IncidentE(
    jobs=600,
    mails=100,
    stale_mails=0,
    fresh=100,
    fresh_mails=100,
    repeated=0,
    held=250,
    expired=250,
)
BAD_E = replace(GOOD_E, mails=600, stale_mails=500, held=0, expired=0)
A_WITH_CELERY = IncidentAWithCelery(**asdict(GOOD_A), tasks=550)
BAD_D = replace(GOOD_D, reached=90, repeated=41, canary=0, uncertain=0)


@pytest.mark.parametrize(
    "change",
    [
        {"changed_mails": 1},
        {"resets": 0},
        {"resets": 2},
        {"told_by_upgrade": 49},
        {"told_again": 1},
    ],
)
def test_any_mail_too_many_or_missing_is_harm_in_incident_a(change: dict[str, int]) -> None:
    assert GOOD_A.harm == 0
    assert replace(GOOD_A, **change).harm > 0


@pytest.mark.parametrize(
    "change", [{"mails": 41}, {"mails": 39, "reached": 39}, {"blank_mails": 1}]
)
def test_any_mail_too_many_missing_or_blank_is_harm_in_incident_c(change: dict[str, int]) -> None:
    assert GOOD_C.harm == 0
    assert replace(GOOD_C, **change).harm > 0


@pytest.mark.parametrize("change", [{"mails": 61}, {"most_to_one": 3}])
def test_any_mail_over_the_limit_is_harm_in_the_loop(change: dict[str, int]) -> None:
    assert GOOD_LOOP.harm == 0
    assert replace(GOOD_LOOP, **change).harm > 0


@pytest.mark.parametrize("change", [{"repeated": 1}, {"reached": 19}, {"to_busy": 3}])
def test_any_follow_up_twice_or_missing_is_harm_in_incident_b(change: dict[str, int]) -> None:
    assert GOOD_B.harm == 0
    assert replace(GOOD_B, **change).harm > 0


@pytest.mark.parametrize("change", [{"stale_mails": 1}, {"repeated": 1}, {"fresh_mails": 99}])
def test_any_mail_too_late_twice_or_missing_is_harm_in_incident_e(change: dict[str, int]) -> None:
    assert GOOD_E.harm == 0
    assert replace(GOOD_E, **change).harm > 0


def test_no_job_of_incident_e_is_near_the_age_at_which_it_is_stale() -> None:
    ages = {incident_e.age(number, 600) for number in range(600)}
    assert ages == {hour + 0.5 for hour in range(12)}
    assert sum(incident_e.is_stale(number, 600) for number in range(600)) == 500


@pytest.mark.parametrize("change", [{"repeated": 1}, {"while_held": 1}, {"reached": 88}])
def test_any_slip_twice_or_missing_without_a_word_is_harm_in_incident_d(
    change: dict[str, int],
) -> None:
    assert GOOD_D.harm == 0
    assert replace(GOOD_D, **change).harm > 0


def test_a_replay_that_is_harmless_without_the_guard_proves_nothing() -> None:
    assert Both(BAD_A, GOOD_A).proven
    assert not Both(GOOD_A, GOOD_A).proven
    assert not Both(BAD_C, BAD_C).proven


def test_the_words_carry_the_figures_of_both_runs() -> None:
    told = what_you_saw(
        story.words_of_a(Both(BAD_A, GOOD_A)),
        story.words_of_c(Both(BAD_C, GOOD_C)),
        story.words_of_loop(Both(BAD_LOOP, GOOD_LOOP)),
        story.words_of_d(Both(BAD_D, GOOD_D)),
    )
    words = " ".join(told.split())
    assert words.startswith("What you saw: the same code, twice.")
    assert "saved 500 tickets sent 500 mails that nobody wanted; with it, 0." in words
    assert "Without notifyguard 26 of 40 subscribers got it more than once; with it, 0." in words
    assert "mailed 30 people 465 times. With a limit in the settings it was 59 times" in words
    assert "41 slips still arrived more than once" in words
    assert "canary of 10, then the rest; 0 arrived twice" in words


def test_the_words_of_the_replays_with_celery_carry_their_figures() -> None:
    a = Both(IncidentAWithCelery(**asdict(BAD_A), tasks=550), A_WITH_CELERY)
    assert "500 mails left that nobody wanted; with notifyguard 0, though all 550 tasks ran" in (
        celery_story.words_of_a(a)
    )
    assert celery_story.rows_of_a(a)[0][1:] == ("550", "550")
    words = celery_story.words_of_b(Both(BAD_B, GOOD_B))
    assert "20 of 20 people got theirs up to 15 times; with it once, and 280 copies" in words
    assert "got 129 mails; with a limit in the settings 2, and the administrators" in words
    words = celery_story.words_of_e(Both(BAD_E, GOOD_E))
    assert "all were mailed, 500 of them too late. With it 100 that were still in time" in words
    assert "250 are held for a person, and 250 of no use any more have expired" in words


def test_a_table_is_as_wide_as_its_cells_and_falls_back_to_ascii() -> None:
    assert table(("mails", "n"), [("a", "1,000")]).splitlines() == [
        "┌───────┬───────┐",
        "│ mails │     n │",
        "├───────┼───────┤",
        "│ a     │ 1,000 │",
        "└───────┴───────┘",
    ]
    assert drawn(rows_of_a(Both(BAD_A, GOOD_A)), "ascii").isascii()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_redraws_one_line_on_a_terminal_and_prints_one_line_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        for done in (1, 2):
            Bar(stream, "sent")(done, 2)
    assert terminal.getvalue().count("\r") == 2
    assert terminal.getvalue().count("\n") == 1
    assert file.getvalue().splitlines()[0].endswith("2/2")
    assert "\r" not in file.getvalue()


def test_progress_is_said_after_the_work_and_always_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(with_progress(range(203))) == list(range(203))
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("4/203", "203/203")
    assert len(lines) == 51


def test_what_the_replays_with_celery_lack_is_said_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis.shutil, "which", lambda program, path=None: None)
    monkeypatch.setattr(redis.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(DemoError, match="apt-get install redis-server"), running_redis(None):
        pass
    monkeypatch.setattr(redis.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DemoError, match=r"celery and redis: `python3 run\.py"), running_redis(None):
        pass
