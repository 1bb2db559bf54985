"""What the demo says must follow from the figures, and be readable on any screen."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_c import IncidentC
from example_project.demo.management.commands.demo import proven
from example_project.demo.screen import Bar, table
from example_project.demo.story import Both, table_of_a, what_you_saw
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
GOOD_C = IncidentC(newsletters=40, servers=2, mails=40, blank_mails=0, reached=40, mailed_again=0)
BAD_C = replace(GOOD_C, mails=66, mailed_again=26)


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


def test_a_replay_that_is_harmless_without_the_guard_proves_nothing() -> None:
    assert proven(Both(BAD_A, GOOD_A))
    assert not proven(Both(GOOD_A, GOOD_A))
    assert not proven(Both(BAD_C, BAD_C))


def test_the_words_carry_the_figures_of_both_runs() -> None:
    story = " ".join(what_you_saw(Both(BAD_A, GOOD_A), Both(BAD_C, GOOD_C)).split())
    assert "saved 500 tickets sent 500 mails that nobody wanted; with it, 0." in story
    assert "Without notifyguard 26 of 40 subscribers got it more than once; with it, 0." in story


def test_a_table_is_as_wide_as_its_cells_and_falls_back_to_ascii() -> None:
    assert table(("mails", "n"), [("a", "1,000")]).splitlines() == [
        "┌───────┬───────┐",
        "│ mails │     n │",
        "├───────┼───────┤",
        "│ a     │ 1,000 │",
        "└───────┴───────┘",
    ]
    assert table_of_a(Both(BAD_A, GOOD_A), "ascii").isascii()


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
