"""Whatever a limiter answers, it turns sends into non-sends and nothing else."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from notifyguard import limiters, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.limiters import Refusal
from tests.mailbox import batch, letter, outcomes, states

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"


class Any:
    """A limiter that somebody else wrote."""

    def __init__(self, answer):
        self.answer, self.refunded, self.renewed = answer, [], []

    def acquire(self, requests):
        return self.answer(requests)

    def refund(self, requests):
        self.refunded += [request.delivery for request in requests]

    def renew(self, requests):
        self.renewed += [request.delivery for request in requests]


@pytest.fixture
def using(mailbox, settings, monkeypatch):
    def use(answer, **options):
        settings.NOTIFYGUARD = {
            "IN_TESTS": "full",
            "TYPES": {"ticket.*": {"limits": ["5/hour"], **options}},
        }
        limiter = Any(answer)
        monkeypatch.setattr("notifyguard.gate.quota.limiter_for", lambda settings: limiter)
        return limiter

    return use


def yes(requests):
    return [None] * len(requests)


def no(requests):
    return [Refusal(request.quotas[0], 60) for request in requests]


def too_few(requests):
    return []


def too_many(requests):
    return [None] * (len(requests) + 1)


def nonsense(requests):
    return ["yes"] * len(requests)


def nothing(requests):
    return None


def test_its_yes_opens_nothing_that_is_stopped(mailbox, using):
    using(yes)
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("test"))
    assert letter(ANN).send() == 0
    assert states() == ["held"]


def test_its_yes_sends_nothing_twice(mailbox, using):
    using(yes)
    assert [letter(ANN, key="1", subject="one").send() for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("answer", [no, too_few, too_many, nonsense, nothing])
@pytest.mark.parametrize("on_limit", ["hold", "delay", "discard"])
def test_any_other_answer_lets_nothing_out_and_raises_nothing(mailbox, using, answer, on_limit):
    using(answer, on_limit=on_limit)
    single, first, second = letter(ANN), letter(ANN), letter(BOB)
    single.send()
    batch(first, second)
    assert mailbox.accepted() == []
    left = {state for message in (single, first, second) for state in outcomes(message).values()}
    expected = {"hold": "held", "delay": "queued", "discard": "discarded"}[on_limit]
    assert left == {expected if answer is no else "held"}


def test_a_batch_asks_for_two_hundred_at_a_time(mailbox, using):
    asked = []

    def answer(requests):
        asked.append(len(requests))
        return yes(requests)

    using(answer)
    many = [f"person{number}@example.com" for number in range(limiters.MOST + 50)]
    message = letter(to=[], bcc=many)
    assert message.send() == 1
    assert asked == [200, 50]


def test_a_refund_that_fails_is_said_and_raises_nothing(mailbox, using, settings, caplog):
    from tests.mailbox import closed_port, use_server

    limiter = using(yes)

    def fail(requests):
        raise ZeroDivisionError(ANN)

    limiter.refund = fail
    use_server(settings, closed_port())
    with pytest.raises(ConnectionError):
        letter(ANN).send()
    assert "a limit could not be given back (ZeroDivisionError)" in caplog.text
    assert ANN not in caplog.text


def test_what_left_is_not_refunded_and_what_did_not_is_refunded_once(mailbox, using):
    limiter = using(yes)
    letter(ANN).send()
    assert limiter.refunded == []


@pytest.mark.parametrize(("seconds", "renewed"), [(2.4, 0), (5.1, 2)])
def test_what_left_long_after_it_was_counted_counts_from_then(
    mailbox, using, monkeypatch, seconds, renewed
):
    """The last of a slow batch: at the server, too, no window holds more than its limit."""
    limiter = using(yes)
    times = itertools.count(step=seconds)
    monkeypatch.setattr("notifyguard.gate.quota.time", SimpleNamespace(monotonic=times.__next__))
    many = [letter(ANN), letter(BOB)]
    assert batch(*many) == 2
    assert (len(limiter.renewed), limiter.refunded) == (renewed, [])
