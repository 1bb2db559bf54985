"""Caps: a runaway that is held does not fill the disk; what is critical is kept all the same."""

from __future__ import annotations

import pytest
from django.db import transaction

from notifyguard import alerts, caps, conf, ledger, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.models import Alert, Claim, FrozenMessage
from notifyguard.signals import capped
from tests.mailbox import batch, letter, outcomes, rows, staff, states, watched_traffic

pytestmark = pytest.mark.django_db(transaction=True)

ME = unrestricted("me")


@pytest.fixture(autouse=True)
def _forget():
    caps.forget()
    alerts._quiet_until.clear()
    yield
    caps.forget()
    alerts._quiet_until.clear()


@pytest.fixture
def cap(mailbox, settings):
    """Everything is held, at most so much of ``ticket.*``."""
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME, everything=True)

    def set_to(**options):
        settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": options}}

    return set_to


def test_past_the_cap_it_is_discarded_with_a_record_and_no_body(cap):
    cap(max_held=3)
    for _ in range(5):
        letter().send()
    assert states() == ["discarded"] * 2 + ["held"] * 3
    assert FrozenMessage.objects.count() == 3
    row = rows(state="discarded")[0]
    assert row.rule == "cap"
    assert row.reason.startswith(
        "3 messages of its type are kept, all that max_held allows. It would have been held by "
        "switch: hold by database (everything), set by me: test"
    )


def test_bytes_count_with_attachments(cap):
    cap(max_held_bytes=100_000)
    for _ in range(3):
        message = letter()
        message.attach("big.bin", b"x" * 60_000, "application/octet-stream")
        message.send()
    assert states() == ["discarded", "held", "held"]
    assert "100,000 bytes of its type are kept" in rows(state="discarded")[0].reason


def test_each_type_counts_for_itself(cap):
    cap(max_held=1)
    for type in ("ticket.a", "ticket.a", "ticket.b", "other", "other"):
        letter(type=type).send()
    assert states(type="ticket.a") == ["discarded", "held"]
    assert states(type="ticket.b") == ["held"]
    assert states(type="other") == ["held", "held"]


def test_critical_types_are_never_discarded_for_it(cap):
    cap(max_held=1, critical=True)
    for _ in range(3):
        letter().send()
    assert states() == ["held"] * 3


def test_a_message_to_many_is_one(cap):
    cap(max_held=1)
    letter(*(f"p{n}@example.com" for n in range(5))).send()
    assert states() == ["held"] * 5


def test_what_two_rules_stop_is_discarded_for_both(cap, settings):
    cap(max_held=1)
    letter().send()
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["example.com"]}
    switchboard.clear_switch("*", reason="test", actor=ME, everything=True)
    switchboard.set_switch("none", Sending.HOLD, reason="test", actor=ME)
    message = letter("ann@else.where", "bob@else.where", "cat@example.com")
    assert message.send() == 1
    assert outcomes(message) == {
        "ann@else.where": "discarded",
        "bob@else.where": "discarded",
        "cat@example.com": "sent",
    }


def test_its_key_is_free_so_that_it_can_be_sent_when_there_is_room(cap, mailbox):
    cap(max_held=1)
    letter("ann@example.com", key="1").send()
    letter("ann@example.com", key="2", subject="B").send()
    assert Claim.objects.count() == 1
    switchboard.clear_switch("*", reason="test", actor=ME, everything=True)
    letter("ann@example.com", key="2", subject="B").send()
    assert mailbox.subjects() == ["B"]


def test_a_discard_past_the_cap_keeps_no_body(cap, settings):
    cap(max_held=1)
    settings.NOTIFYGUARD |= {"SENDING": "discard"}
    switchboard.clear_switch("*", reason="test", actor=ME, everything=True)
    for _ in range(3):
        letter().send()
    assert FrozenMessage.objects.count() == 1
    assert "It would have been discarded by switch" in rows(rule="cap")[0].reason


def test_inside_a_transaction_of_the_caller(cap):
    cap(max_held=2)
    with transaction.atomic():
        for _ in range(4):
            letter().send()
    assert states() == ["discarded", "discarded", "held", "held"]


def test_a_batch_stops_at_the_cap(cap):
    cap(max_held=4)
    batch(*(letter() for _ in range(10)))
    assert states() == ["discarded"] * 6 + ["held"] * 4


def test_room_that_is_made_is_used(cap, monkeypatch):
    cap(max_held=1)
    letter().send()
    letter().send()
    FrozenMessage.objects.all().delete()
    letter().send()
    assert states() == ["discarded", "discarded", "held"]  # full for some seconds still
    monkeypatch.setattr(caps, "FULL_FOR", -1)
    letter().send()
    assert states() == ["discarded", "discarded", "held", "held"]


def test_what_others_keep_is_seen_before_the_cap_is_exceeded_by_much(cap, monkeypatch):
    """This process counts again when it has kept the share that it may keep unseen."""
    monkeypatch.setattr(caps, "SHARE", 4)
    cap(max_held=40)
    letter().send()
    template = FrozenMessage.objects.get()
    FrozenMessage.objects.bulk_create(
        FrozenMessage(
            dispatch=ledger.new_id(), type=template.type, payload="{}", size=1,
            frozen_at=template.frozen_at,
        )
        for _ in range(39)
    )  # fmt: skip
    for _ in range(20):
        letter().send()
    kept = FrozenMessage.objects.count()
    assert 40 <= kept <= 40 + 40 // 4


def test_not_every_mail_is_counted(cap):
    cap()
    letter().send()
    with watched_traffic() as traffic:
        for _ in range(20):
            letter().send()
    assert not [each for each in traffic.statements if "SUM(" in each]


def test_what_is_open_is_never_counted(mailbox, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"*": {"max_held": 1}}}
    with watched_traffic() as traffic:
        for _ in range(3):
            letter().send()
    assert states() == ["sent"] * 3
    assert not [each for each in traffic.statements if "SUM(" in each]


def test_somebody_is_told_once(cap, settings, caplog):
    settings.ADMINS = staff("ops@example.com")
    heard: list[str] = []

    def listen(*, type, **more):
        heard.append(type)

    capped.connect(listen)
    cap(max_held=1)
    for _ in range(5):
        alerts._quiet_until.clear()  # as other processes would
        letter().send()
    capped.disconnect(listen)
    assert heard == ["ticket.modified"]
    said = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert [each.getMessage() for each in said] == [
        "notifyguard: mail of type ticket.modified is discarded: its cap is reached"
    ]
    assert Alert.objects.filter(rule="cap").count() == 1
    mails = [row for row in rows(type="notifyguard.alerts") if "discards mail" in row.subject]
    assert len(mails) == 1


def test_a_rollback_takes_the_news_back(cap, caplog):
    cap(max_held=1)
    letter().send()
    with transaction.atomic():
        letter().send()
        transaction.set_rollback(True)
    assert not [each for each in caplog.records if each.levelname == "CRITICAL"]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1000", True, 10**16])
@pytest.mark.parametrize("name", ["max_held", "max_held_bytes"])
def test_a_cap_is_a_whole_number_or_none(settings, name, wrong):
    (problem,) = conf.read({"TYPES": {"ticket.*": {name: wrong}}}).problems
    assert f'NOTIFYGUARD["TYPES"]["ticket.*"]["{name}"]' in problem.text
    assert "Write a whole number from 1" in problem.fix
    assert conf.read({"TYPES": {"ticket.*": {name: None}}}).problems == ()


def test_a_slip_in_its_name_is_told():
    (problem,) = conf.read({"TYPES": {"a": {"max_hold": 5}}}).problems
    assert 'Did you mean "max_held"?' in problem.fix
