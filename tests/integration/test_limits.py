"""Limits, from the setting to the mail server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

import notifyguard
from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.conf import LimiterSettings
from notifyguard.decision import Sending
from notifyguard.gate import quota
from notifyguard.ledger import retention
from notifyguard.limiters.database import DatabaseLimiter
from notifyguard.models import Delivery, LimitCounter, LimitEntry
from notifyguard.rules import broken
from notifyguard.switchboard.control import change_generation
from tests.mailbox import (
    batch,
    closed_port,
    letter,
    outcomes,
    rows,
    states,
    use_server,
    watched_traffic,
)
from tests.threads import threads

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "ann@example.com"


@pytest.fixture
def limited(mailbox, settings):
    """Write the options of ``ticket.*``, and those of other patterns."""

    def write(others=None, **options):
        types = {"ticket.*": options, **(others or {})}
        settings.NOTIFYGUARD = {"IN_TESTS": "full", "TYPES": types}

    return write


def counted() -> int:
    return LimitEntry.objects.count()


def let_time_pass(**duration: float) -> None:
    microseconds = int(timedelta(**duration).total_seconds() * 1_000_000)
    LimitEntry.objects.update(at=F("at") - microseconds)
    LimitCounter.objects.update(used_at=F("used_at") - microseconds)
    waiting = Delivery.objects.filter(state="queued", wake_at__isnull=False)
    waiting.update(wake_at=F("wake_at") - timedelta(**duration))


# What is counted


def test_no_more_than_the_limit_leave_and_the_rest_is_held(mailbox, limited):
    limited(limits=["3/hour"])
    assert [letter(ANN).send() for _ in range(5)] == [1, 1, 1, 0, 0]
    assert mailbox.recipients() == [ANN] * 3
    assert states() == ["held", "held", "sent", "sent", "sent"]
    held = rows(state="held")[0]
    assert held.rule == "limit"
    assert held.reason == "3 of ticket.* left to this recipient within the limit of 3/hour."


def test_there_is_room_again_when_the_window_has_passed(mailbox, limited):
    limited(limits=["1/hour"])
    assert [letter(ANN).send(), letter(ANN).send()] == [1, 0]
    let_time_pass(minutes=61)
    assert letter(ANN).send() == 1


def test_an_address_is_one_person_however_it_is_written(mailbox, limited):
    limited(limits=["1/hour"])
    assert letter("ann@bücher.example").send() == 1
    assert letter("Ann <ANN@XN--BCHER-KVA.example>").send() == 0


def test_the_types_of_a_pattern_count_together(mailbox, limited):
    limited(limits=["1/hour"])
    assert letter(ANN, type="ticket.new").send() == 1
    assert letter(ANN, type="ticket.closed").send() == 0
    assert letter(ANN, type="order.new").send() == 1


def test_limits_of_a_more_specific_pattern_count_apart(mailbox, limited):
    limited(
        {"ticket.closed": {"limits": ["1/hour"]}, "ticket.quiet": {"limits": []}}, limits=["1/hour"]
    )
    assert letter(ANN, type="ticket.new").send() == 1
    assert letter(ANN, type="ticket.closed").send() == 1
    assert letter(ANN, type="ticket.closed").send() == 0
    assert [letter(ANN, type="ticket.quiet").send() for _ in range(3)] == [1, 1, 1]


def test_a_type_as_a_whole_has_limits_of_its_own(mailbox, limited):
    limited(type_limits=["2/hour"])
    assert [letter().send() for _ in range(3)] == [1, 1, 0]
    assert rows(state="held")[0].reason == (
        "2 of ticket.* left to all recipients together within the limit of 2/hour."
    )


def test_those_for_whom_there_is_no_room_are_left_off(mailbox, limited):
    limited(limits=["1/hour"])
    letter(ANN).send()
    message = letter(ANN, "bob@example.com")
    assert message.send() == 1
    assert outcomes(message) == {ANN: "held", "bob@example.com": "sent"}
    assert message.to == [ANN, "bob@example.com"]
    assert mailbox.recipients() == [ANN, "bob@example.com"]


def test_a_batch_is_counted_in_order(mailbox, limited):
    limited(limits=["2/hour"], type_limits=["4/hour"])
    messages = [
        letter(to) for to in (ANN, ANN, ANN, "bob@example.com", "c@example.com", "d@example.com")
    ]
    assert batch(*messages) == 4
    assert [outcomes(message)[message.to[0]] for message in messages] == (
        ["sent", "sent", "held", "sent", "sent", "held"]
    )


def test_a_duplicate_uses_nothing_up(mailbox, limited):
    limited(limits=["2/hour"])
    sent = [letter(ANN, key="1", subject="one").send() for _ in range(4)]
    assert sent == [1, 0, 0, 0]
    assert letter(ANN).send() == 1


@pytest.mark.parametrize("many", [False, True])
def test_a_failed_hand_over_uses_nothing_up(mailbox, limited, settings, mail_server, many):
    limited(limits=["2/hour"])
    use_server(settings, closed_port())
    with pytest.raises(ConnectionError):
        batch(letter(ANN), letter(ANN)) if many else letter(ANN).send()
    assert counted() == 0
    use_server(settings, mail_server.port)
    assert [letter(ANN).send() for _ in range(3)] == [1, 1, 0]


def test_what_may_have_left_counts(mailbox, limited, monkeypatch):
    limited(limits=["1/hour"])

    def vanish(self, messages):
        raise TimeoutError("the server said nothing")

    monkeypatch.setattr("django.core.mail.backends.smtp.EmailBackend._send", vanish)
    with pytest.raises(TimeoutError):
        letter(ANN).send()
    monkeypatch.undo()
    assert states() == ["uncertain"]
    assert letter(ANN).send() == 0


def test_a_switch_set_meanwhile_does_not_count_twice(mailbox, limited):
    limited(limits=["2/hour"])
    letter("warm@example.com").send()
    change_generation(connection)  # as another process does: ours learns of it at the mark
    assert [letter(ANN).send() for _ in range(3)] == [1, 1, 0]


def test_what_a_switch_stops_at_the_last_moment_is_given_back(mailbox, limited, monkeypatch):
    limited(limits=["1/hour"])
    letter("warm@example.com").send()
    asked = quota.keep_within

    def flip(cases, board):
        asked(cases, board)
        switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("test"))
        monkeypatch.undo()

    monkeypatch.setattr(quota, "keep_within", flip)
    assert letter(ANN).send() == 0
    assert rows(recipient=ANN)[0].rule == "switch"
    switchboard.clear_switch("ticket.*", reason="test", actor=unrestricted("test"))
    assert letter(ANN).send() == 1


# What happens past the limit


def test_what_is_delayed_leaves_when_there_is_room(mailbox, limited):
    limited(limits=["1/hour"], on_limit="delay")
    assert [letter(ANN, subject=name).send() for name in ("one", "two", "three")] == [1, 1, 1]
    assert states() == ["queued", "queued", "sent"]
    waits = [row.wake_at - row.created_at for row in rows(state="queued") if row.wake_at]
    assert [timedelta(minutes=59) < wait < timedelta(minutes=61) for wait in waits] == [True] * 2
    sweeper.sweep()
    assert mailbox.subjects() == ["one"]
    let_time_pass(minutes=61)
    sweeper.sweep()
    assert mailbox.subjects() == ["one", "two"]
    assert states() == ["queued", "sent", "sent"]
    assert rows(state="queued")[0].rule == "limit"
    let_time_pass(minutes=61)
    sweeper.sweep()
    assert mailbox.subjects() == ["one", "two", "three"]


def test_what_is_delayed_takes_its_key(mailbox, limited):
    limited(limits=["1/hour"], on_limit="delay")
    letter(ANN).send()
    for _ in range(3):
        letter(ANN, key="1", subject="once").send()
    let_time_pass(minutes=61)
    sweeper.sweep()
    assert mailbox.subjects()[1:] == ["once"]


def test_what_is_discarded_is_recorded(mailbox, limited):
    limited(limits=["1/hour"], on_limit="discard")
    letter(ANN).send()
    message = letter(ANN)
    assert message.send() == 0
    (outcome,) = notifyguard.outcome(message)
    assert (str(outcome.state), outcome.rule) == ("discarded", "limit")


def test_what_is_released_asks_the_limit_again(mailbox, limited):
    limited(limits=["1/hour"])
    for _ in range(3):
        letter(ANN).send()
    Delivery.objects.filter(state="held").update(state="queued", wake_at=F("created_at"))
    let_time_pass(minutes=61)
    sweeper.sweep()
    assert len(mailbox.accepted()) == 2
    assert states() == ["held", "sent", "sent"]


def test_observed_only_reports(mailbox, limited, settings):
    limited(limits=["1/hour"])
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "MODE": "observe"}
    assert [letter(ANN).send(), letter(ANN).send()] == [1, 1]
    assert rows()[1].rule == "observed limit"


# Critical types


def test_critical_types_pass_limits_that_do_not_name_them(mailbox, limited):
    limited({"*": {"limits": ["1/hour"], "type_limits": ["1/hour"]}, "login": {"critical": True}})
    assert [letter(ANN, type="login").send() for _ in range(3)] == [1, 1, 1]
    assert [letter(ANN, type="order").send() for _ in range(2)] == [1, 0]


def test_what_others_sent_uses_up_nothing_of_a_critical_type(mailbox, limited):
    limited({"ticket.code": {"critical": True}}, limits=["1/hour"])
    assert [letter(ANN).send() for _ in range(2)] == [1, 0]
    assert [letter(ANN, type="ticket.code").send() for _ in range(2)] == [1, 0]


# Inside a transaction of the caller


def test_a_deferred_message_is_counted_when_it_is_delivered(mailbox, limited):
    limited(limits=["1/hour"])
    with transaction.atomic():
        assert letter(ANN, key="1").send() == 1
        assert letter(ANN, key="2").send() == 1
        assert counted() == 0
    assert states() == ["held", "sent"]


def test_an_inline_message_in_a_transaction_counts(mailbox, limited):
    limited(limits=["1/hour"])
    with transaction.atomic():
        assert [letter(ANN).send(), letter(ANN).send()] == [1, 0]
    assert letter(ANN).send() == 0


@pytest.mark.needs("postgresql", "mariadb")
def test_a_rollback_does_not_forget_what_was_sent(mailbox, limited):
    limited(limits=["1/hour"])
    with transaction.atomic():
        letter(ANN).send()
        transaction.set_rollback(True)
    assert states() == []
    assert letter(ANN).send() == 0
    assert mailbox.recipients() == [ANN]


@pytest.mark.needs("postgresql", "mariadb")
def test_nobody_waits_for_a_callers_transaction(mailbox, limited):
    limited(limits=["5/hour"], type_limits=["5/hour"])
    with transaction.atomic():
        letter(ANN).send()
        with threads(1) as started:
            started.start(lambda: letter(ANN).send())
            assert started.wait() == [1]


# A limiter that fails


def test_what_cannot_be_counted_is_held_and_critical_mail_passes(
    mailbox, limited, monkeypatch, caplog
):
    limited({"ticket.code": {"critical": True, "limits": ["1/hour"]}}, limits=["1/hour"])
    monkeypatch.delitem(broken, "limit", raising=False)

    def fail(self, requests, **options):
        raise ZeroDivisionError(ANN)

    monkeypatch.setattr(DatabaseLimiter, "acquire", fail)
    assert letter(ANN).send() == 0
    assert rows()[0].reason == "Its limit could not be counted; see the log."
    assert letter(ANN, type="ticket.code").send() == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert ANN not in caplog.text


def test_an_unusable_limiter_is_replaced_by_the_database(mailbox, limited, settings, caplog):
    limited(limits=["1/hour"])
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "LIMITER": {"BACKEND": "no.such.Limiter"}}
    assert [letter(ANN).send() for _ in range(2)] == [1, 0]
    assert 'NOTIFYGUARD["LIMITER"] cannot be used' in caplog.text


def test_missing_tables_hold_what_is_limited_and_nothing_else(mailbox, limited):
    limited(limits=["1/hour"])
    with connection.schema_editor() as editor:
        editor.delete_model(LimitEntry)
    try:
        assert letter(ANN).send() == 0
        assert letter(ANN, type="order").send() == 1
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(LimitEntry)


def test_without_limits_the_limiter_is_not_asked(mailbox, limited, monkeypatch):
    limited()
    monkeypatch.setattr(DatabaseLimiter, "acquire", None)
    assert letter(ANN).send() == 1


# What it costs


def test_a_limit_costs_four_statements_and_one_commit_however_many_there_are(mailbox, limited):
    limited(limits=["5/hour", "20/day"], type_limits=["1000/hour"])
    letter(ANN).send()
    with watched_traffic() as traffic:
        letter(ANN).send()
    assert traffic.commits == 3
    ours = [sql for sql in traffic.statements if "limit" in sql or "now" in sql or "_time" in sql]
    # The lock (SQLite in two, its clock for free), the time, the entries, the totals.
    assert len(ours) == 4, ours


def test_a_batch_is_counted_at_once(mailbox, limited):
    limited(limits=["5/hour"], type_limits=["1000/hour"])
    batch(*(letter(f"person{number}@example.com") for number in range(20)))
    with watched_traffic() as traffic:
        batch(*(letter(f"person{number}@example.com") for number in range(20)))
    counters = [sql for sql in traffic.statements if "notifyguard_limit" in sql]
    # The lock (SQLite in two), the entries, and the totals of one and of twenty.
    assert len(counters) == 4 + (connection.vendor == "sqlite"), counters


# Cleaning up


def test_prune_takes_what_no_window_reaches_back_to(mailbox, limited):
    limited(limits=["1/hour"])
    letter(ANN).send()
    let_time_pass(days=6)
    letter("bob@example.com").send()
    let_time_pass(days=2)
    pruned = {part.name: sum(part.prune()) for part in retention.parts()}
    assert (pruned["limit entries"], pruned["limit counters"]) == (1, 1)
    assert (counted(), LimitCounter.objects.count()) == (1, 1)


def test_a_counter_that_is_used_while_it_is_pruned_stays(mailbox, limited):
    limited(limits=["1/hour"])
    letter(ANN).send()
    let_time_pass(days=8)
    parts = {part.name: part for part in retention.parts()}
    entries, counters = parts["limit entries"], parts["limit counters"]
    sum(entries.prune())
    found = list(counters.rows.values_list("pk", flat=True))
    assert len(found) == 1
    letter(ANN).send()
    counters.end(found)
    assert letter(ANN).send() == 0


def test_a_longer_window_is_kept_longer(mailbox, limited):
    limited(limits=["1/2 weeks"])
    letter(ANN).send()
    let_time_pass(days=13)
    assert sum(sum(part.prune()) for part in retention.parts() if "limit" in part.name) == 0
    assert letter(ANN).send() == 0


def test_a_clock_that_went_back_lets_nothing_more_out():
    from tests.limiting import granted, request
    from tests.limiting import quota as quota_of

    limiter = DatabaseLimiter(LimiterSettings())
    assert granted(limiter, [request(quota_of("ann", 2, 60))]) == [True]
    LimitEntry.objects.update(at=F("at") + 3_600_000_000)
    LimitCounter.objects.update(used_at=F("used_at") + 3_600_000_000)
    assert granted(limiter, [request(quota_of("ann", 2, 60)) for _ in range(2)]) == [True, False]
    counted_at = list(LimitEntry.objects.order_by("place").values_list("at", flat=True))
    assert len(counted_at) == 2
    assert counted_at == sorted(counted_at)
