"""What the demo says must follow from the figures, and be readable on any screen."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_c import IncidentC
from example_project.demo.incident_d import IncidentD
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
    shown = Both(BAD_A, GOOD_A), Both(BAD_C, GOOD_C), Both(BAD_LOOP, GOOD_LOOP), Both(BAD_D, GOOD_D)
    story = " ".join(what_you_saw(*shown).split())
    assert "saved 500 tickets sent 500 mails that nobody wanted; with it, 0." in story
    assert "Without notifyguard 26 of 40 subscribers got it more than once; with it, 0." in story
    assert "mailed 30 people 465 times. With a limit in the settings it was 59 times" in story
    assert "41 slips still arrived more than once" in story
    assert "canary of 10, then the rest; 0 arrived twice" in story


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
