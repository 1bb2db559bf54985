"""reconcile: what the mail server's log proves ends what nobody else can know."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from notifyguard.actor import unrestricted
from notifyguard.decision import State
from notifyguard.ledger import uncertain
from notifyguard.models import Claim, Delivery, Event
from tests.factories import ClaimFactory, DeliveryFactory
from tests.logs import feed
from tests.mailbox import rows, states
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

POSTFIX = Path(feed.__file__).parent / "postfix.log"
SENT_AT = datetime(2026, 11, 25, 21, 43, 56, tzinfo=UTC)
ANN = "ann@accept.example.com"


@pytest.fixture
def log(full, tmp_path):
    """Postfix's log, with lines hours before and after that an idle server would write."""
    path = tmp_path / "mail.log"
    beat = "Nov {} mx postfix/master[1]: daemon started -- version 3.7.11\n"
    path.write_text(beat.format("25 12:00:00") + POSTFIX.read_text() + beat.format("26 03:00:00"))
    return path


@pytest.fixture(autouse=True)
def a_later_day(monkeypatch):
    """The log names no year; whatever the test machine's clock says, it is of 2026."""

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 27, tzinfo=UTC)

    monkeypatch.setattr("notifyguard.reconcile.lines.datetime", Then)


def lost(name, recipient=ANN, **more):
    """An uncertain delivery of a message that was sent when the log was written."""
    claim = ClaimFactory()
    row = DeliveryFactory(
        **{
            "state": State.UNCERTAIN,
            "message_id": f"<{name}@app.example.com>" if name else "",
            "recipient": recipient,
            "created_at": SENT_AT,
            "changed_at": SENT_AT + timedelta(minutes=11),
            "wake_at": datetime(9000, 1, 1, tzinfo=UTC),
            "key": claim.key,
        }
        | more
    )
    Claim.objects.filter(pk=claim.pk).update(delivery=row.id)
    return row


def reconcile(path, *options):
    out = StringIO()
    words = ["--reason", "after the crash", "--actor", "ann", "--time-zone", "UTC", *options]
    call_command("notifyguard", "reconcile", "--from-log", str(path), *words, stdout=out)
    return out.getvalue()


def test_what_the_server_took_is_sent_and_its_key_stays_taken(log):
    row = lost("accepted.1")
    said = reconcile(log)
    assert "1 delivery resolved: 1 sent, 0 not sent." in said
    row.refresh_from_db()
    assert (row.state, row.rule, row.wake_at) == ("sent", "resolved", None)
    assert "250 2.0.0 Ok" in row.reason
    assert "by ann: after the crash" in row.reason
    assert Claim.objects.filter(key=row.key).exists()
    assert events() == [("resolve", "*", "uncertain", "sent", 1, "ann", "after the crash")]


@pytest.mark.parametrize(
    ("name", "recipient"),
    [
        ("bounced.3", "bounce-dan@fail.example.com"),
        ("deferred.4", "defer-eve@fail.example.com"),
        ("down.5", "fay@down.example.com"),
        ("Upper.8", "ann.case@accept.example.com"),
        ("alias.11", "alias@accept.example.com"),
    ],
)
def test_whatever_became_of_it_the_server_has_had_it(log, name, recipient):
    lost(name, recipient)
    reconcile(log)
    assert states() == ["sent"]


def test_what_the_server_refused_has_failed_and_may_be_sent_again(log):
    refused, accepted = lost("partly.6", "refused@example.com"), lost("partly.6")
    assert "2 deliveries resolved: 1 sent, 1 not sent" in reconcile(log)
    assert states(id=refused.id) == ["failed"]
    assert states(id=accepted.id) == ["sent"]
    assert list(Claim.objects.values_list("delivery", flat=True)) == [accepted.id]


def test_another_recipient_of_the_same_message_proves_nothing(log):
    lost("accepted.1", "somebody@else.example.com")
    said = reconcile(log, "--complete")
    assert "nothing yet of this recipient" in said
    assert states() == ["uncertain"]


@pytest.mark.parametrize("state", ["sent", "uncertain"])
def test_a_message_id_that_two_messages_share_proves_nothing(log, state):
    """A header of the project's own, the same for each mail of a thread: which came?"""
    lost("accepted.1")
    lost("accepted.1", state=state)
    said = reconcile(log, "--complete")
    assert "share" in said
    assert set(states()) == {"uncertain", state}


def test_one_that_failed_under_the_same_message_id_was_not_the_accepted_one(log):
    """As a project does that tries again after a 4xx reply, under its own Message-ID."""
    lost("accepted.1", state="failed")
    lost("accepted.1")
    reconcile(log)
    assert states() == ["failed", "sent"]


def test_a_refusal_may_be_that_of_another_with_the_same_message_id(log):
    lost("partly.6", "refused@example.com", state="failed")
    lost("partly.6", "refused@example.com")
    assert "share" in reconcile(log)
    assert states() == ["failed", "uncertain"]


def test_what_is_not_in_the_log_stays_uncertain(log):
    """It may have gone to another server, and the log may have lost lines."""
    lost("never.99")
    lost(feed.CUT)  # Postfix names it; its client was gone before it was complete
    said = reconcile(log)
    assert "which may not be complete" in said
    assert "--complete" in said
    assert states() == ["uncertain", "uncertain"]


def test_unless_somebody_says_that_the_log_is_complete(log):
    lost("never.99")
    lost(feed.CUT)
    reconcile(log, "--complete")
    assert states() == ["failed", "failed"]
    assert not Claim.objects.exists()


@pytest.mark.parametrize(
    "times",
    [
        {"created_at": SENT_AT - timedelta(hours=9)},  # the log begins half an hour later
        {"changed_at": SENT_AT + timedelta(hours=5)},  # and ends too soon after
    ],
)
def test_a_complete_log_of_another_time_proves_nothing(log, times):
    lost("never.99", **times)
    assert "does not cover its time" in reconcile(log, "--complete")
    assert states() == ["uncertain"]


def test_without_a_message_id_it_cannot_be_looked_for(log):
    lost("")
    assert "cannot be looked for" in reconcile(log, "--complete")
    assert states() == ["uncertain"]


@pytest.mark.parametrize("written", ["bare@app.example.com", "<" + "x" * 254, "<a b@app>"])
def test_a_message_id_that_a_log_may_write_otherwise_is_not_looked_for(log, written):
    """To say that it is not in the log would prove nothing, and free its key."""
    lost("", message_id=written)
    assert "cannot be looked for" in reconcile(log, "--complete")
    assert states() == ["uncertain"]


def test_a_dry_run_changes_nothing(log):
    lost("accepted.1")
    said = reconcile(log, "--dry-run")
    assert "accepted by the server" in said
    assert "Nothing was changed" in said
    assert states() == ["uncertain"]
    assert not Event.objects.exists()


def test_only_what_is_meant_is_looked_for(log):
    lost("accepted.1", type="invoice.sent")
    lost("Upper.8", "ann.case@accept.example.com")
    reconcile(log, "--type", "invoice.*")
    assert states(type="invoice.sent") == ["sent"]
    assert states(type="ticket.modified") == ["uncertain"]


def test_late_evidence_that_came_meanwhile_is_left_alone(log):
    row = lost("partly.6", "refused@example.com")
    found = [(row.id, "")]
    Delivery.objects.update(state=State.SENT, wake_at=None)
    deeds = uncertain.resolve_many(
        found, uncertain.Finding.NOT_SENT, subject="*", reason="r", actor=unrestricted("a")
    )
    assert list(deeds) == [0]
    assert states() == ["sent"]
    assert Claim.objects.exists()
    assert not Event.objects.exists()


def test_a_log_that_cannot_be_read_changes_nothing(full, tmp_path):
    lost("accepted.1")
    with pytest.raises(CommandError, match="A log cannot be read, nothing was changed"):
        reconcile(tmp_path / "no.log")
    broken = tmp_path / "broken.gz"
    broken.write_bytes(b"\x1f\x8b\x08\x00\x00")
    with pytest.raises(CommandError, match="A log cannot be read"):
        reconcile(broken)
    assert states() == ["uncertain"]


def test_a_log_that_is_damaged_changes_nothing(log, tmp_path):
    lost("accepted.1")
    damaged = bytearray(gzip.compress(log.read_bytes()))
    damaged[200:260] = bytes(60)
    path = tmp_path / "damaged.gz"
    path.write_bytes(damaged)
    with pytest.raises(CommandError, match="A log cannot be read, nothing was changed"):
        reconcile(path)
    assert states() == ["uncertain"]


def test_a_log_in_a_form_that_nobody_here_can_read_proves_nothing(log, tmp_path):
    """Else what it holds would count as never sent, and be sent a second time."""
    lost("accepted.1")
    path = tmp_path / "mail.log.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(range(200)))
    with pytest.raises(CommandError, match="in a form that is not read here; unpack it first"):
        reconcile(path, "--complete")
    assert states() == ["uncertain"]


def test_nothing_uncertain_reads_no_log(full, tmp_path):
    assert "was not read" in reconcile(tmp_path / "no.log")


def test_a_time_zone_that_is_none_is_refused(log):
    lost("accepted.1")
    with pytest.raises(CommandError, match="is no time zone"):
        reconcile(log, "--time-zone", "Berlin/Germany")


def test_many_are_settled_in_batches(log, monkeypatch):
    monkeypatch.setattr(uncertain, "BATCH", 2)
    for number in range(5):
        lost(f"never.{number}")
    reconcile(log, "--complete")
    assert states() == ["failed"] * 5
    assert [event[4] for event in events()] == [2, 2, 1]


def test_the_reason_names_no_address(log):
    lost("bounced.3", "bounce-dan@fail.example.com")
    reconcile(log)
    (row,) = rows()
    assert "bounced" in row.reason
    assert "@" not in row.reason
