"""Exit statuses: 0 done, 1 refused or nothing done, 2 typed wrong, and one line that says which."""

from __future__ import annotations

import io
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone

from notifyguard.decision import State
from notifyguard.management.subcommands import every_subcommand
from notifyguard.models import Event, Switch
from tests.factories import DeliveryFactory, SwitchFactory
from tests.operators import status

pytestmark = pytest.mark.django_db(transaction=True)

ID = UUID("0198f3a0-0000-7000-8000-000000000001")
WHY = ("--reason", "a test")
LOG = Path(__file__).parents[1] / "logs" / "postfix.log"

DONE = [
    ("status",),
    ("status", "--since", "2h"),
    ("types",),
    ("hold", *WHY),
    ("hold", "invoice.*", "--wait", "--timeout", "5", *WHY),
    ("resume", "ticket.*", *WHY),
    ("set", "ticket.*", "discard", "--until", "2h", *WHY),
    ("held",),
    ("held", "no.such.type"),
    ("held", "--list", "--limit", "5"),
    ("discard-held", "--yes", *WHY),
    ("discard-held", "--no-input", *WHY),
    ("release", "--preview"),
    ("discard-held", "--dry-run", "--json"),
    ("releases",),
    ("release", "--later", "--yes", *WHY),
    ("uncertain",),
    ("why", "ann@example.com"),
    ("why", "owner", "--type", "ticket.*", "--since", "2h", "--limit", "5"),
    ("resolve", str(ID), "--sent", *WHY),
    ("reconcile", "--from-log", str(LOG), "--dry-run", *WHY),
    ("block", "ann@example.com", *WHY),
    ("blocked",),
    ("scheduled",),
    ("scheduled", "ticket.*", "--limit", "5"),
    ("spooled",),
    ("spooled", "tickets.tasks.follow_up", "--limit", "5"),
    ("sweep",),
    ("prune",),
    ("prune", "--dry-run"),
]

REFUSED = [
    (("resume", "invoice.*", *WHY), "no switch for invoice.*"),
    (("release", "--rule", "conflict", "--yes", *WHY), "Nothing is held that this means"),
    (("discard-held", "invoice.*", "--yes", *WHY), "Nothing is held that this means"),
    (("release", "--yes", *WHY), "a switch still stops all of it"),
    (("release", "--continue", "7", *WHY), "There is no release 7"),
    (("release", "--stop", "7", *WHY), "There is no release 7"),
    (("resolve", str(UUID(int=7)), "--sent", *WHY), "There is no delivery"),
    (("undo-discard", "--yes", *WHY), "Nothing that was discarded is kept"),
    (("block", "ann", *WHY), "is no address"),
    (("unblock", "ann@example.com", *WHY), "None of these was blocked"),
    (("reconcile", "--from-log", "no.such.log", *WHY), "no.such.log"),
    (("cancel-spooled", "some-id", *WHY), "Not in the spool: some-id"),
    (("publish-spooled", *WHY), "No task waits for its time"),
]

MISTYPED = [
    ((), "required: subcommand"),
    (("hodl",), "invalid choice"),
    (("hold",), "--reason"),
    (("hold", "--reason", " \t\n"), "it is blank"),
    (("hold", "--reason", "a\x1b[2Jb"), "control characters"),
    (("hold", "--reason", "x" * 501), "501 characters; 500 fit"),
    (("hold", "--actor", "x" * 151, *WHY), "151 characters; 150 fit"),
    (("hold", "ticket.?", *WHY), "the only wildcard"),
    (("hold", "a\nb", *WHY), "control characters"),
    (("hold", "", *WHY), "Write a type"),
    (("hold", "x" * 201, *WHY), "201 characters; 200 fit"),
    (("hold", "everything", *WHY), "use --everything"),
    (("hold", "ticket.*", "--everything", *WHY), "leave the pattern out"),
    (("hold", "--until", "soon", *WHY), "'soon' is not a time"),
    (("hold", "--until", "2020-01-01", *WHY), "over already"),
    (("hold", "--until", "2999-02-30", *WHY), "is not a time"),
    (("hold", "--until", "\x00", *WHY), "is not a time"),
    (("hold", "--timeout", "5", *WHY), "--wait"),
    (("hold", "--wait", "--timeout", "0", *WHY), "whole number"),
    (("hold", "--wait", "--timeout", "9" * 5000, *WHY), "whole number"),
    (("resume", "--reason", ""), "it is blank"),
    (("set", "ticket.*", "discard", *WHY), "--until"),
    (("set", "ticket.*", "stop", *WHY), "invalid choice"),
    (("status", "--since", "2999-01-01"), "yet to come"),
    (("status", "--since", "yesterday"), "is not a time"),
    (("status", "--since", "0001-01-01T00:00+14:00"), "is not a time"),
    (("hold", "--until", "9999-12-31T23:59-12:00", *WHY), "is not a time"),
    (("held", "--limit", "5"), "--list"),
    (("held", "--older-than", "2x"), "is not a time"),
    (("release", "--newer-than", "-1h", *WHY), "expected one argument"),
    (("release", "--limit", "many", *WHY), "whole number"),
    (("release", "--id", "17", *WHY), "invalid UUID value: '17'"),
    (("release", "--rule", "switch", "--all-rules", *WHY), "not allowed with"),
    (("release", "--yes"), "--reason"),
    (("release", "--canary", "1001", *WHY), "at most 1,000"),
    (("release", "--rate", "0", *WHY), "whole number"),
    (("release", "--larger-than", "much", *WHY), "is not a size"),
    (("release", "--continue", "1"), "--reason"),
    (("release", "--continue", "1", "--stop", "1", *WHY), "not allowed with"),
    (("release", "--continue", "1", "--rate", "5", *WHY), "release that is begun"),
    (("release", "ticket.*", "--stop", "1", *WHY), "name no choice"),
    (("releases", "--limit", "0"), "whole number"),
    (("discard-held", *WHY), "Add --yes"),
    (("discard-held",), "--reason"),
    (("resolve", "17", "--sent", *WHY), "invalid UUID value: '17'"),
    (("resolve", str(ID), *WHY), "--sent --not-sent --give-up is required"),
    (("sweep", "--every", "5"), "--loop"),
    (("sweep", "--loop", "--every", "0.5"), "whole number"),
    (("uncertain", "more"), "unrecognized arguments"),
    (("block", *WHY), "required: address"),
    (("block", "ann@example.com", "--until", "soon", *WHY), "is not a time"),
    (("blocked", "--limit", "0"), "whole number"),
    (("types", "--since", "2h"), "unrecognized arguments"),
    (("exec", "--suppress", "*", "--", "check"), "--reason"),
    (("why",), "required: address"),
    (("why", " "), "write an address"),
    (("why", "x" * 1001), "write an address"),
    (("why", "ann@example.com", "--since", "once"), "is not a time"),
    (("why", "ann@example.com", "--type", "[a]"), "the only wildcard"),
    (("prune", "--all"), "unrecognized arguments"),
    (("reconcile", *WHY), "--from-log"),
    (("reconcile", "--from-log", str(LOG), "--time-zone", "Mars/Olympus", *WHY), "no time zone"),
    (("scheduled", "--limit", "0"), "whole number"),
    (("spooled", "--limit", "0"), "whole number"),
    (("cancel-spooled", *WHY), "required: id"),
    (("cancel-spooled", "some-id"), "--reason"),
    (("publish-spooled",), "--reason"),
]


@pytest.fixture
def something_of_each(full):
    """A switch, a held delivery, and an uncertain one with a known id."""
    SwitchFactory(pattern="ticket.*")
    later = timezone.now() + timedelta(days=999)
    DeliveryFactory(id=ID, state=State.UNCERTAIN, wake_at=later)
    DeliveryFactory(state=State.HELD, rule="switch", wake_at=later)


@pytest.mark.parametrize("words", DONE, ids=" ".join)
def test_what_was_done_is_0(something_of_each, words):
    if words[0] == "release":
        Switch.objects.all().delete()
    assert status(*words) == 0


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=str)
def test_what_was_refused_is_1_and_one_line_says_why(something_of_each, capsys, words, said):
    assert status(*words) == 1
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.splitlines()[-1].startswith("CommandError: ")
    assert not Event.objects.exists()


@pytest.mark.parametrize(("words", "said"), MISTYPED, ids=lambda given: str(given)[:60])
def test_what_was_typed_wrong_is_2_and_changes_nothing(something_of_each, capsys, words, said):
    assert status(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not Event.objects.exists()


def test_every_subcommand_is_among_these():
    tried = {words[0] for words, _ in [*MISTYPED, *REFUSED] if words} | {w[0] for w in DONE}
    assert {subcommand.name for subcommand in every_subcommand()} <= tried


@pytest.mark.parametrize("stdin", [None, io.StringIO("y\n")], ids=["closed", "a pipe"])
def test_without_a_terminal_nothing_waits_for_an_answer(something_of_each, monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert status("discard-held", *WHY) == 2
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("answer", "code", "deeds"),
    [("y\n", 0, 1), ("YES\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("", 1, 0)],
    ids=repr,
)
def test_only_yes_is_yes(something_of_each, monkeypatch, answer, code, deeds):
    class Keyboard(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    assert status("discard-held", *WHY) == code
    assert Event.objects.count() == deeds


def test_ctrl_c_at_the_question_changes_nothing(something_of_each, monkeypatch, capsys):
    class Hand:
        closed = False

        def isatty(self):
            return True

        def readline(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Hand())
    assert status("discard-held", *WHY) == 130
    assert "Nothing was changed." in capsys.readouterr().err
    assert not Event.objects.exists()


def test_a_reason_of_several_lines_becomes_one(full):
    assert status("hold", "--reason", "users report\n  doubles\t!") == 0
    assert Switch.objects.get().reason == "users report doubles !"
