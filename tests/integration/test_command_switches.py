"""hold, resume, set: what they do, what they say, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from notifyguard import clock
from notifyguard.decision import State
from notifyguard.models import Switch
from tests.factories import DeliveryFactory, SwitchFactory
from tests.mailbox import letter, rows, states, use_server
from tests.operators import Tty, deed, events, operate
from tests.threads import threads

pytestmark = pytest.mark.django_db(transaction=True)


def end() -> Any:
    """When the one switch there is ends."""
    return Switch.objects.get().expires_at


def test_hold_stops_mail_and_resume_opens_it_again(mailbox):
    said = deed("hold")
    assert "held from now on" in said
    letter("ann@example.com").send()
    assert "Still held of these types: 1 delivery" in deed("resume")
    letter("bob@example.com").send()
    assert mailbox.recipients() == ["bob@example.com"]
    assert states() == ["held", "sent"]


def test_hold_without_a_pattern_leaves_critical_types_and_says_so(mailbox):
    said = deed("hold")
    assert "Critical types still leave" in said
    assert "notifyguard hold --everything --reason" in said
    letter(type="auth.password_reset").send()
    assert states() == ["sent"]


def test_hold_everything_stops_critical_types_too(mailbox):
    deed("hold", "--everything")
    letter(type="auth.password_reset").send()
    assert states() == ["held"]
    deed("resume", "--everything")
    assert not Switch.objects.exists()


def test_hold_of_a_pattern_stops_only_its_types(mailbox):
    deed("hold", "ticket.*")
    letter(type="ticket.modified").send()
    letter(type="invoice.sent").send()
    assert [(row.type, row.state) for row in rows()] == [
        ("ticket.modified", "held"),
        ("invoice.sent", "sent"),
    ]


def test_a_pattern_that_nobody_sends_is_said_with_what_was_meant(mailbox):
    letter(type="ticket.modified").send()
    assert "Did you mean ticket.modified?" in deed("hold", "tikcet.modified")
    assert "Did you mean ticket.*?" in deed("hold", "tikcet.*")
    assert "has been seen" not in deed("hold", "ticket.*")


def test_a_switch_that_ends_says_when(full):
    assert f"until {timezone.localtime().year + 1}-" in deed(
        "hold", "ticket.*", "--until", f"{timezone.localtime().year + 1}-02-01 08:00"
    )


def test_a_pattern_that_names_critical_types_says_which(full):
    assert "auth.password_reset" in deed("hold", "auth.*")
    assert "auth.password_reset" not in deed("hold", "ticket.*")


def test_who_did_what_and_why_is_on_record(full):
    deed("hold", "ticket.*")
    operate("resume", "ticket.*", "--reason", "cause found", "--actor", "bob")
    assert events() == [
        ("switch", "ticket.*", "", "hold", None, "ann", "a test"),
        ("switch", "ticket.*", "hold", "open", None, "bob", "cause found"),
    ]


def test_the_system_user_is_the_actor_when_nobody_says(full, monkeypatch):
    monkeypatch.setenv("LOGNAME", "carol")
    operate("hold", "--reason", "why")
    assert Switch.objects.get().author == "carol"


@pytest.mark.parametrize("words", [("hold",), ("hold", "--reason", " "), ("resume",)])
def test_without_a_reason_nothing_is_changed(full, words):
    with pytest.raises(CommandError, match="reason"):
        operate(*words)
    assert not Switch.objects.exists()


def test_a_blank_reason_takes_no_switch_away(full):
    SwitchFactory(pattern="*")
    with pytest.raises(CommandError, match="it is blank"):
        operate("resume", "--reason", " ")
    assert Switch.objects.exists()


@pytest.mark.parametrize("pattern", ["ticket.?", " ", "a\nb", "x" * 201, "everything"])
def test_a_pattern_that_cannot_be_used_is_refused(full, pattern):
    with pytest.raises(CommandError):
        deed("hold", pattern)
    assert not Switch.objects.exists()


def test_everything_and_a_pattern_contradict_each_other(full):
    with pytest.raises(CommandError, match="leave the pattern out"):
        deed("hold", "ticket.*", "--everything")


def test_discard_needs_an_end(full):
    with pytest.raises(CommandError, match="--until"):
        deed("set", "ticket.*", "discard")
    deed("set", "ticket.*", "discard", "--until", "2h")
    left = end() - timezone.now()
    assert timedelta(minutes=119) < left <= timedelta(minutes=120)


def test_set_open_makes_an_exception_from_a_wider_hold(mailbox):
    deed("hold")
    assert "These still stop mail" in deed("set", "ticket.*", "open")
    letter(type="ticket.modified").send()
    assert states() == ["sent"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2999-05-01", "2999-05-01T00:00+09:00"),
        ("2999-05-01T08:30", "2999-05-01T08:30+09:00"),
        ("2999-05-01 08:30", "2999-05-01T08:30+09:00"),
        ("2999-05-01T08:30+02:00", "2999-05-01T08:30+02:00"),
    ],
)
def test_a_date_is_meant_in_the_present_time_zone(full, text, expected):
    full.TIME_ZONE = "Asia/Tokyo"
    deed("hold", "--until", text)
    assert end() == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2020-01-01", "over already"),
        ("0m", "over already"),
        ("soon", "is not a time"),
        ("-2h", "expected one argument"),
        ("999999999w", "is not a time"),
        ("2999-13-01", "is not a time"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(full, text, said):
    with pytest.raises(CommandError, match=said):
        deed("hold", "--until", text)
    assert not Switch.objects.exists()


def test_resume_says_what_decides_when_there_is_no_such_switch(full):
    deed("hold")
    with pytest.raises(CommandError, match=r"no switch for ticket\.\*.*hold by database \(\*\)"):
        deed("resume", "ticket.*")
    assert Switch.objects.count() == 1


def test_resume_says_when_another_source_still_holds(full):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "SENDING": "hold"}
    deed("hold", "ticket.*")
    assert "hold by settings (SENDING)" in deed("resume", "ticket.*")


def test_bypass_is_no_place_to_feel_safe(full):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "MODE": "bypass"}
    assert "no switch is obeyed" in deed("hold")


def test_a_mistyped_setting_is_said_and_does_not_block_the_switch(full):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "SENDNG": "hold"}
    assert 'Did you mean "SENDING"' in deed("hold")
    assert Switch.objects.count() == 1


def test_a_switch_that_has_ended_is_not_said_to_stop_mail(full):
    SwitchFactory(pattern="a.*", expires_at=timezone.now() - timedelta(hours=1))
    SwitchFactory(pattern="b.*", expires_at=timezone.now() + timedelta(hours=1))
    SwitchFactory(pattern="*")
    said = deed("resume")
    assert "(b.*)" in said
    assert "(a.*)" not in said


def test_wait_returns_at_once_when_nothing_is_in_the_air(full):
    assert "Nothing of it is in the air" in deed("hold", "--wait")


def test_wait_returns_when_what_was_in_the_air_has_landed(mailbox, full, mail_server):
    use_server(full, mail_server.port, timeout=2)
    with threads(1) as started:
        sending = started.start(_give_up_on, letter("hang@example.com"))
        while states() != ["in_flight"]:
            time.sleep(0.01)
        deed("hold", "--wait")
        assert states() == ["uncertain"]
        assert sending.result() == "SMTPServerDisconnected"


def _give_up_on(message):
    try:
        message.send()
    except Exception as error:
        return type(error).__name__


def test_wait_gives_up_with_a_status_of_its_own(full):
    DeliveryFactory(state=State.IN_FLIGHT)
    with pytest.raises(CommandError, match="1 delivery did not land within 1 s") as stopped:
        deed("hold", "--wait", "--timeout", "1")
    assert stopped.value.returncode == 3
    assert Switch.objects.count() == 1


def test_wait_is_for_what_was_stopped_and_not_for_other_mail(full):
    DeliveryFactory(state=State.IN_FLIGHT, type="invoice.sent")
    DeliveryFactory(state=State.IN_FLIGHT, type="auth.password_reset")
    assert "Nothing of it" in deed("hold", "ticket.*", "--wait", "--timeout", "1")


def test_wait_does_not_wait_for_the_dead(full):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    DeliveryFactory(state=State.IN_FLIGHT, created_at=an_hour_ago)
    DeliveryFactory(state=State.IN_FLIGHT, wake_at=an_hour_ago)
    assert "Nothing of it" in deed("hold", "--wait", "--timeout", "1")


def test_wait_shows_on_a_terminal_what_it_waits_for(full, monkeypatch):
    row = DeliveryFactory(state=State.IN_FLIGHT)
    written = Tty.write

    def land_when_shown(tty, text):
        if "1 delivery in the air" in text:
            type(row).objects.filter(id=row.id).update(state=State.SENT)
        return written(tty, text)

    monkeypatch.setattr(Tty, "write", land_when_shown)
    said = operate("hold", "--wait", "--reason", "x", terminal=True)
    assert "1 delivery in the air" in said


def hold_from_a_shell(environment):
    words = ["notifyguard", "hold", "--reason", "x"]
    return subprocess.run(
        [sys.executable, "-m", "django", *words], env=environment, capture_output=True, text=True
    )


def test_an_error_of_the_system_checks_is_said_and_blocks_nothing(full, process_environment):
    done = hold_from_a_shell(process_environment | {"NOTIFYGUARD_SENDING": "hlod"})
    assert done.returncode == 0, done.stderr
    assert 'Did you mean "hold"' in done.stderr
    assert Switch.objects.count() == 1


@pytest.mark.needs("sqlite")
def test_a_ledger_without_tables_says_what_to_do_instead(process_environment, tmp_path):
    empty = str(tmp_path / "empty.sqlite3")
    done = hold_from_a_shell(process_environment | {"NOTIFYGUARD_DB_NAME": empty})
    assert done.returncode == 1
    assert "Run: manage.py migrate notifyguard" in done.stderr
    assert "NOTIFYGUARD_SENDING=hold" in done.stderr


def test_a_ledger_whose_database_is_not_in_the_settings_says_so(full):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "DATABASE": "ledger"}
    with pytest.raises(CommandError, match=r"no alias in DATABASES.*NOTIFYGUARD_SENDING=hold"):
        deed("hold")


def test_naive_times_where_the_project_uses_them(full):
    full.USE_TZ = False
    deed("hold", "--until", "2h")
    deed("hold", "--until", f"{clock.now(connection) + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    assert timezone.is_naive(end())
