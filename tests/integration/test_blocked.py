"""Blocked addresses: nothing reaches them by any way, and what was meant for them is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

import notifyguard
from notifyguard import blocked, clock, database, sweeper, switchboard
from notifyguard.actor import Actor, unrestricted
from notifyguard.decision import Sending
from notifyguard.exceptions import NotAllowed
from notifyguard.gate.passage import Passage
from notifyguard.models import BlockedAddress, Claim, Event, FrozenMessage
from notifyguard.switchboard.blocks import id_of
from tests.mailbox import batch, letter, outcomes, rows, states, watched_traffic
from tests.operators import deed, events, facts, operate

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"
ME = unrestricted("me")
CRITICAL = "auth.password_reset"


def block(*addresses, **more):
    values: dict[str, Any] = {"reason": "bounced", "actor": ME} | more
    blocked.block(addresses or [ANN], **values)


def unblock(*addresses):
    return blocked.unblock(addresses or [ANN], reason="a typing mistake", actor=ME)


# What a block stops.


def test_a_blocked_address_gets_nothing_and_the_ledger_says_why(mailbox):
    block()
    assert letter(ANN).send() == 0
    assert mailbox.accepted() == []
    (row,) = rows()
    assert (row.state, row.rule) == ("discarded", "blocked")
    assert row.reason == "Blocked by me: bounced"
    assert FrozenMessage.objects.get().dispatch == row.dispatch


@pytest.mark.parametrize(
    "written", ["Ann <ANN@Example.com>", " ann@example.com ", "ann@EXAMPLE.COM"]
)
def test_an_address_is_blocked_however_it_is_written(mailbox, written):
    block(written)
    letter(ANN).send()
    unblock()
    block(ANN)
    letter(written.strip()).send()
    assert states() == ["discarded", "discarded"]


def test_an_international_domain_is_the_same_either_way(mailbox):
    block("ann@bücher.example")
    letter("ann@xn--bcher-kva.example").send()
    assert states() == ["discarded"]


def test_an_address_like_a_blocked_one_is_another(mailbox):
    """Also where the database thinks otherwise: MariaDB compares without accents."""
    block("jose@example.com", "ann@example.com")
    assert blocked.among(["josé@example.com", "anne@example.com", "an@example.com"]) == set()
    block("josé@example.com")
    unblock("jose@example.com")
    assert blocked.among(["jose@example.com", "josé@example.com"]) == {"josé@example.com"}


def test_the_others_get_a_copy_without_the_blocked(mailbox):
    block()
    message = letter(ANN, BOB)
    assert message.send() == 1
    assert mailbox.recipients() == [BOB]
    assert outcomes(message) == {ANN: "discarded", BOB: "sent"}


def test_critical_mail_passes_unless_the_block_is_on_everything(mailbox):
    block()
    letter(ANN, type=CRITICAL).send()
    block(everything=True)
    letter(ANN, type=CRITICAL).send()
    assert states() == ["discarded", "sent"]


def test_a_block_ends_by_itself(mailbox, monkeypatch):
    block(expires_at=timezone.now() + timedelta(hours=1))
    letter(ANN).send()
    now = clock.now(database.connection()) + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda connection: now)
    letter(ANN).send()
    assert states() == ["discarded", "sent"]


def test_a_person_set_it_so_observe_obeys(mailbox, settings):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    block()
    letter(ANN).send()
    assert mailbox.accepted() == []


# By every way.


def test_a_batch_is_looked_up_by_one_query(mailbox):
    block()
    letter().send()
    people = [f"p{n}@example.com" for n in range(20)]
    with watched_traffic() as traffic:
        batch(*(letter(to) for to in [*people, ANN]))
    asked = [each for each in traffic.statements if BlockedAddress._meta.db_table in each]
    assert len(asked) == 1
    assert ANN not in mailbox.recipients()
    assert len(mailbox.accepted()) == 1 + len(people)


def test_who_was_asked_for_is_not_asked_for_again(mailbox):
    block()
    letter(BOB).send()
    with watched_traffic() as traffic:
        letter(BOB).send()
        letter(ANN).send()
        letter(ANN).send()
    asked = [each for each in traffic.statements if BlockedAddress._meta.db_table in each]
    assert len(asked) == 1


def test_where_nobody_is_blocked_nothing_is_asked(mailbox):
    letter(BOB).send()
    with watched_traffic() as traffic:
        letter(ANN).send()
    assert not [each for each in traffic.statements if BlockedAddress._meta.db_table in each]


@pytest.mark.parametrize("key", [None, "1"])
def test_inside_a_transaction_of_the_caller(mailbox, key):
    block()
    with transaction.atomic():
        message = letter(ANN, BOB, key=key)
        message.send()
    assert mailbox.recipients() == [BOB]
    assert states() == ["discarded", "sent"]


def test_who_is_blocked_while_the_transaction_is_open_gets_nothing(mailbox):
    with transaction.atomic():
        letter(ANN, BOB, key="1").send()
    letter(ANN).send()
    before = len(mailbox.accepted())
    with transaction.atomic():
        letter(ANN, BOB, key="2").send()
        # On commit, before ours: somebody blocks her in the moment of the commit.
        transaction.get_connection().run_on_commit.insert(0, (set(), block, False))
    assert [each["to"] for each in mailbox.accepted()[before:]] == [[BOB]]


def test_what_was_held_is_asked_again_at_release(mailbox):
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME)
    letter(ANN, key="1").send()
    letter(BOB, key="1").send()
    switchboard.clear_switch("*", reason="test", actor=ME)
    block()
    assert "1 delivery, blocked: discarded" in deed("release", "--preview")
    deed("release", "--yes")
    assert mailbox.recipients() == [BOB]
    (row,) = rows(recipient=ANN)
    assert (row.state, row.rule) == ("discarded", "blocked")
    assert not Claim.objects.filter(delivery=row.id).exists()


def test_what_is_scheduled_is_asked_when_it_is_due(mailbox, monkeypatch):
    block(BOB)
    for to in (ANN, BOB):
        message = letter(to)
        notifyguard.identify(
            message, "ticket.modified", key=to, send_at=timezone.now() + timedelta(hours=1)
        )
        message.send()
    assert states() == ["queued", "queued"]
    unblock(BOB)
    block(ANN)
    now = clock.now(database.connection()) + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda connection: now)
    sweeper.sweep()
    assert mailbox.recipients() == [BOB]


def test_another_process_sees_the_block_at_its_next_message(mailbox, elsewhere):
    """Its cached switches name a generation that is gone: the mark refuses."""
    out, _ = elsewhere(
        f"""
        send("bob")
        import subprocess, os
        code = "import django; django.setup(); from notifyguard import actor, blocked; "
        code += "blocked.block(['{ANN}'], reason='bounced', actor=actor.unrestricted('me'))"
        subprocess.run([sys.executable, "-c", code], check=True)
        print(send("ann"), send("bob"))
        """
    )
    assert out == ["0", "1"]
    assert mailbox.recipients() == [BOB, BOB]


def test_who_is_blocked_between_decision_and_mark_gets_nothing(mailbox, monkeypatch):
    original = Passage.prepare
    done: list[None] = []

    def prepare(self, case):
        ready = original(self, case)
        if not done:
            done.append(block())
        return ready

    monkeypatch.setattr(Passage, "prepare", prepare)
    letter(ANN, BOB).send()
    assert mailbox.recipients() == [BOB]


# Keys.


def test_the_key_is_left_free_so_that_it_is_sent_once_unblocked(mailbox):
    block()
    letter(ANN, key="1", subject="A").send()
    letter(ANN, key="1", subject="A").send()
    assert not Claim.objects.exists()
    assert states() == ["discarded", "discarded"]
    unblock()
    letter(ANN, key="1", subject="A").send()
    assert mailbox.recipients() == [ANN]


def test_what_was_sent_before_is_no_duplicate_for_a_blocked_address(mailbox):
    letter(ANN, key="1", subject="A").send()
    block()
    letter(ANN, key="1", subject="A").send()
    assert states() == ["discarded", "sent"]


# What a person does.


def test_each_address_has_its_event(mailbox):
    block(ANN, BOB)
    block(ANN, reason="complained")
    unblock(ANN)
    assert unblock(ANN) == []
    assert events() == [
        ("block", ANN, "not blocked", "blocked", 1, "me", "bounced"),
        ("block", BOB, "not blocked", "blocked", 1, "me", "bounced"),
        ("block", ANN, "blocked by me: bounced", "blocked", 1, "me", "complained"),
        ("unblock", ANN, "blocked by me: complained", "not blocked", 1, "me", "a typing mistake"),
    ]


@pytest.mark.parametrize(
    "wrong", ["ann", "@example.com", "ann@", "", "a b@example.com", "a@b c", "a@b, c@d"]
)
def test_what_is_no_address_is_refused_and_nothing_is_blocked(mailbox, wrong):
    with pytest.raises(NotAllowed, match="is no address"):
        block(ANN, wrong)
    assert not BlockedAddress.objects.exists()


@pytest.mark.parametrize("missing", [{"reason": " "}, {"actor": Actor("me", frozenset())}])
def test_a_block_has_a_reason_and_an_author_who_may(mailbox, missing):
    with pytest.raises(NotAllowed):
        block(**missing)
    with pytest.raises(NotAllowed, match="ended already"):
        block(expires_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(NotAllowed, match="too far away"):
        block(expires_at=timezone.now().replace(year=9999))
    assert not Event.objects.exists()


def test_the_commands(mailbox):
    assert "2 addresses blocked" in deed("block", "Ann <ann@example.com>", BOB, "--until", "2h")
    assert {each["address"] for each in facts("blocked")} == {ANN, BOB}
    assert ANN in operate("blocked", "ann")
    assert BOB not in operate("blocked", "ann")
    assert "--limit shows more" in operate("blocked", "--limit", "1")
    assert "1 address no longer blocked: ann@example.com" in deed("unblock", ANN)
    with pytest.raises(CommandError, match="None of these was blocked"):
        deed("unblock", ANN)
    with pytest.raises(CommandError, match="'ann' is no address"):
        deed("block", "ann")


def test_nobody_is_blocked(mailbox):
    assert "Nobody is blocked." in operate("blocked")
    assert "No such block." in operate("blocked", "ann")


def test_however_many_are_blocked_a_batch_costs_one_small_query(mailbox):
    now = timezone.now()
    BlockedAddress.objects.bulk_create(
        (
            BlockedAddress(
                id=id_of(f"b{n}@example.com"), address=f"b{n}@example.com",
                reason="bounced", author="me", blocked_at=now,
            )
            for n in range(3_000)
        ),
        batch_size=1_000,
    )  # fmt: skip
    block(ANN)
    people = [f"b{n}@example.com" for n in range(0, 3_000, 100)]
    with watched_traffic() as traffic:
        batch(*(letter(to) for to in [*people, BOB]))
    assert mailbox.recipients() == [BOB]
    asked = [each for each in traffic.statements if BlockedAddress._meta.db_table in each]
    assert len(asked) <= 2  # one of them the board's, which only asks whether there is any
