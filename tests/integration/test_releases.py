"""A release is a row of the ledger: worked off in steps, by anybody, each delivery once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifyguard import clock, ledger, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending, State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import held, retention
from notifyguard.ledger.held import ahead, choice, letting_go, pace, releases
from notifyguard.ledger.held.choice import Choice
from notifyguard.models import Delivery, Event, FrozenMessage, Release, Released
from tests.factories import DeliveryFactory
from tests.mailbox import letter, rows, states
from tests.operators import what_waits

pytestmark = pytest.mark.django_db(transaction=True)

ANN = unrestricted("ann")
WHY: dict[str, Any] = {"reason": "a test", "actor": ANN}


def hold(pattern="*"):
    switchboard.set_switch(pattern, Sending.HOLD, **WHY)


def open_again(pattern="*"):
    switchboard.clear_switch(pattern, **WHY)


def waiting(**more):
    """A held delivery without a message: to be let go, not to be sent."""
    values = {"state": State.HELD, "rule": "switch", "wake_at": clock.never()}
    return DeliveryFactory(id=ledger.new_id(), **values | more)


def begin(*ids, limit: int | None = None, **more):
    return releases.begin(what_waits(*ids, limit=limit), **WHY, **more).pk


def worked_off(number):
    """Work until it ends or rests; how many were let go by each step."""
    let_go = []
    while (step := letting_go.advance(number)).goes_on:
        let_go.append(step.let_go)
    return [*let_go, step.let_go]


@pytest.fixture
def nine_held(full, monkeypatch):
    monkeypatch.setattr(pace, "PORTION", 4)
    return [waiting().id for _ in range(9)]


@pytest.fixture
def three_held(mailbox):
    hold()
    for name in ("ann", "bob", "cem"):
        letter(f"{name}@example.com", key=name).send()
    open_again()
    return mailbox


# Steps


def test_a_release_lets_everything_go_in_portions(nine_held):
    number = begin()
    assert worked_off(number) == [4, 4, 1, 0]
    release = releases.find(number)
    assert (release.state, release.meant, release.let_go, release.left) == ("done", 9, 9, 0)
    assert states() == ["queued"] * 9
    assert list(Released.objects.order_by("id").values_list("delivery", flat=True)) == nine_held


def test_what_is_held_after_it_began_is_no_part_of_it(nine_held):
    number = begin()
    letting_go.advance(number)
    later = waiting()
    worked_off(number)
    assert [row.id for row in rows(state=State.HELD)] == [later.id]


def test_nor_is_what_it_let_go_and_was_held_again(three_held, settings):
    number = begin()
    letting_go.advance(number)
    hold()
    sweeper.sweep()
    open_again()
    assert states() == ["held"] * 3
    assert worked_off(number) == [0]
    assert states() == ["held"] * 3
    assert [(each.state, each.rule, each.deliveries) for each in outcomes(number)] == [
        (State.HELD, "switch", 3)
    ]


def outcomes(number):
    return releases.outcomes(releases.find(number))


def test_two_who_work_on_it_let_nothing_go_twice(nine_held):
    number = begin()
    letting_go.advance(number)
    ours = letting_go._read.copy()
    letting_go._read.clear()  # as another process has read nothing
    letting_go.advance(number)
    letting_go._read.update(ours)
    assert worked_off(number) == [1, 0]
    assert {row.attempt for row in rows()} == {2}
    assert Released.objects.count() == 9


def test_what_somebody_else_moved_meanwhile_is_left_alone(nine_held):
    number = begin()
    letting_go.advance(number)  # the rest is read by now
    list(held.discard(what_waits(nine_held[5]), **WHY))
    worked_off(number)
    assert Counter(states()) == {"queued": 8, "discarded": 1}
    assert releases.find(number).let_go == 8


def test_two_releases_of_the_same_let_it_go_once(nine_held):
    one, other = begin(), begin()
    letting_go.advance(one)  # what it has read by now, the other lets go
    worked_off(other)
    worked_off(one)
    assert [releases.find(each).let_go for each in (one, other)] == [4, 5]
    assert {row.attempt for row in rows()} == {2}


def test_a_step_that_fails_has_let_nothing_go(nine_held, monkeypatch):
    number = begin()

    def broken(*args):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(QuerySet, "bulk_create", broken)
        with pytest.raises(RuntimeError):
            letting_go.advance(number)
    assert states() == ["held"] * 9
    assert worked_off(number) == [4, 4, 1, 0]


def test_a_long_release_reads_pages_and_not_everything(full, monkeypatch):
    monkeypatch.setattr(ahead, "READ", 10)
    monkeypatch.setattr(pace, "PORTION", 5)
    for _ in range(40):
        waiting()
    number = begin()
    with CaptureQueriesContext(connection) as queries:
        worked_off(number)
    pages = [
        query["sql"]
        for query in queries
        if "notifyguard_delivery" in query["sql"] and "LIMIT 10" in query["sql"]
    ]
    assert len(pages) == 5  # four of ten, and one that finds nothing more


# What a release is for


def test_a_limit_means_the_oldest(nine_held):
    number = begin(limit=3)
    worked_off(number)
    assert [row.id for row in rows(state=State.QUEUED)] == nine_held[:3]
    assert releases.find(number).meant == 3


def test_a_limit_is_no_quota_that_others_make_room_in(nine_held):
    number = begin(limit=3)
    list(held.discard(what_waits(nine_held[0]), **WHY))
    worked_off(number)
    assert [row.id for row in rows(state=State.QUEUED)] == nine_held[1:3]


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ({"larger_than": 900}, ["big"]),
        ({"smaller_than": 900}, ["ann", "bob"]),
        ({"larger_than": 500, "smaller_than": 500}, []),
        ({"people": ("ann@example.com",)}, ["ann"]),
        ({"people": ("example.com",)}, ["ann", "bob"]),
        ({"people": ("ple.com",)}, []),
        ({"people": ("big@other.org", "bob@example.com")}, ["big", "bob"]),
        ({"ids": ()}, []),
    ],
    ids=str,
)
def test_who_is_chosen_by_size_and_people(full, chosen, meant):
    for name, size in (("ann@example.com", 100), ("bob@example.com", 200), ("big@other.org", 1000)):
        row = waiting(recipient=name)
        FrozenMessage.objects.create(
            dispatch=row.dispatch, payload="{}", size=size, frozen_at=timezone.now()
        )
    found = held.meant(Choice(**chosen))
    names = [row.recipient.partition("@")[0] for row in choice.chosen(Choice(**chosen))]
    assert sorted(names) == meant
    assert (found.rows().count() if found else 0) == len(meant)
    assert Choice.from_json(Choice(**chosen).as_json()) == Choice(**chosen)


def test_a_choice_outlives_its_process(full):
    row = waiting()
    made = Choice(
        "ticket.*", ("switch",), timezone.now(), row.created_at, 1, 10**9, ("example.com",), 5,
        (row.id,),
    )  # fmt: skip
    release = releases.begin(what_waits(row.id), **WHY)
    Release.objects.filter(pk=release.pk).update(choice=made.as_json())
    assert releases.meant(releases.find(release.pk)).choice == made


# The canary


def test_after_the_canary_it_waits_for_a_person(nine_held):
    number = begin(canary=6)
    assert worked_off(number) == [4, 2]
    assert releases.find(number).state == "canary"
    assert Counter(states()) == {"queued": 6, "held": 3}
    assert letting_go.advance(number) == letting_go.Step(goes_on=False)
    releases.continue_(number, **WHY)
    assert worked_off(number) == [3, 0]
    assert releases.find(number).state == "done"


def test_a_canary_that_was_interrupted_is_let_go_to_its_end(nine_held):
    number = begin(canary=6)
    letting_go.advance(number)
    releases.pause(number, **WHY)
    releases.continue_(number, **WHY)
    assert worked_off(number) == [2]
    assert releases.find(number).state == "canary"


def test_sweepers_let_the_canary_go_and_no_more(three_held):
    number = begin(canary=2, by_sweepers=True)
    sweeper.sweep()
    sweeper.sweep()
    assert (len(three_held.accepted()), releases.find(number).state) == (2, "canary")


# The rate


@pytest.mark.parametrize("rate", [1, 7, 59, 60, 61, 190, 6_007, 60_000])
def test_no_minute_holds_more_than_the_rate(rate):
    begun = [n * pace.pause(rate) for n in range(1000)]
    within = sum(at < timedelta(minutes=1) for at in begun) * pace.portion(rate)
    assert rate * 0.98 - 1 < within <= rate
    assert pace.portion(rate) <= max(1, rate / 60)


def test_until_its_rate_allows_it_nothing_more_is_let_go(nine_held):
    number = begin(rate=120)
    first, second = letting_go.advance(number), letting_go.advance(number)
    assert (first.let_go, first.wait) == (2, timedelta(seconds=1))
    assert second.let_go == 0
    assert timedelta(0) < second.wait <= timedelta(seconds=1)
    assert second.goes_on


def let_time_pass(number, **length):
    """As if the last portion had been let go so long before, and had left."""
    ago = timedelta(**length)
    Delivery.objects.filter(state=State.QUEUED).update(state=State.SENT, wake_at=None)
    then = timezone.now() - ago
    Release.objects.filter(pk=number).update(let_go_at=then, next_at=then)


def test_there_is_no_burst_after_a_pause(nine_held):
    number = begin(rate=120)
    letting_go.advance(number)
    let_time_pass(number, hours=1)
    assert [letting_go.advance(number).let_go for _ in range(3)] == [2, 0, 0]


def test_what_has_not_left_yet_is_no_reason_to_hurry(nine_held):
    """The sweeper was away: its portion leaves when it is back, and the next a pause later."""
    number = begin(rate=120)
    letting_go.advance(number)
    late = timezone.now() - timedelta(hours=1)
    Delivery.objects.filter(state=State.QUEUED).update(wake_at=late)
    Release.objects.filter(pk=number).update(let_go_at=late, next_at=late)
    step = letting_go.advance(number)
    assert (step.let_go, step.wait) == (0, timedelta(seconds=1))


def test_at_a_rate_messages_leave_at_that_rate(three_held):
    begin(rate=60, by_sweepers=True)
    sweeper.sweep()
    sweeper.sweep()
    assert len(three_held.accepted()) == 1
    next_at = letting_go.next_for_sweepers()
    assert next_at
    assert next_at > timezone.now()


# What stops it


def test_a_switch_that_is_set_meanwhile_has_it_rest(nine_held):
    number = begin()
    letting_go.advance(number)
    hold("ticket.*")
    assert worked_off(number) == [0]
    release = releases.find(number)
    assert release.state == "paused"
    assert "ticket.modified is stopped: hold by database (ticket.*)" in release.note
    assert Counter(states()) == {"queued": 4, "held": 5}
    open_again("ticket.*")
    releases.continue_(number, **WHY)
    worked_off(number)
    assert states() == ["queued"] * 9


def test_what_a_switch_stopped_before_stays_held_and_is_counted(nine_held):
    invoice = waiting(type="invoice.sent")
    hold("invoice.*")
    number = begin()
    worked_off(number)
    release = releases.find(number)
    assert (release.state, release.let_go, release.left) == ("done", 9, 1)
    (left,) = rows(state=State.HELD)
    assert (left.id, left.attempt) == (invoice.id, 1)


def test_who_may_not_be_written_to_is_held_again_and_not_looped_over(three_held, full):
    full.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["ann@example.com"]}
    number = begin(by_sweepers=True)
    sweeper.sweep()
    assert three_held.recipients() == ["ann@example.com"]
    assert {(row.state, row.rule) for row in rows()} == {
        ("sent", "released"),
        ("held", "allow_recipients"),
    }
    assert releases.find(number).state == "done"


def test_limits_hold_for_what_is_released(three_held, full):
    full.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"type_limits": ["2/hour"]}}}
    begin(by_sweepers=True)
    sweeper.sweep()
    assert len(three_held.accepted()) == 2
    assert [row.rule for row in rows(state=State.HELD)] == ["limit"]


# What a person does


def test_a_pause_rests_it_until_it_is_continued(nine_held):
    number = begin()
    letting_go.advance(number)
    releases.pause(number, reason="lunch", actor=ANN)
    assert worked_off(number) == [0]
    assert releases.find(number).note == "By ann: lunch"
    releases.continue_(number, **WHY)
    assert releases.find(number).note == ""
    assert worked_off(number) == [4, 1, 0]


def test_what_is_stopped_stays_stopped(nine_held):
    number = begin()
    letting_go.advance(number)
    releases.stop(number, reason="wrong text", actor=ANN)
    assert worked_off(number) == [0]
    for deed in (releases.continue_, releases.pause, releases.stop):
        with pytest.raises(NotAllowed, match=f"Release {number} is stopped"):
            deed(number, **WHY)
    assert Counter(states()) == {"queued": 4, "held": 5}


def test_all_of_it_is_on_record(nine_held):
    number = begin(canary=4)
    worked_off(number)
    releases.continue_(number, reason="they look right", actor=unrestricted("bob"))
    releases.pause(number, reason="lunch", actor=ANN)
    releases.stop(number, reason="enough", actor=ANN)
    told = Event.objects.order_by("id").exclude(action="switch")
    assert list(told.values_list("action", "before", "after", "count", "actor", "reason")) == [
        ("begin_release", "", "running", 9, "ann", "a test"),
        ("release", "held", "canary", 4, "ann", "a test"),
        ("continue_release", "canary", "running", 4, "bob", "they look right"),
        ("pause_release", "running", "paused", 4, "ann", "lunch"),
        ("stop_release", "paused", "stopped", 4, "ann", "enough"),
    ]
    assert {row.reason for row in rows(state=State.QUEUED)} == {"By ann: a test"}


@pytest.mark.parametrize("more", [{"rate": 0}, {"canary": -1}, {"canary": 1_001}], ids=str)
def test_a_number_that_cannot_be_meant_is_refused(nine_held, more):
    with pytest.raises(NotAllowed):
        begin(**more)
    assert not Release.objects.exists()


def test_one_on_which_nobody_works_was_interrupted(nine_held):
    number = begin()
    assert releases.standing(releases.find(number)) == "running"
    long_ago = timezone.now() - timedelta(minutes=1)
    Release.objects.filter(pk=number).update(worked_at=long_ago)
    assert releases.standing(releases.find(number)) == "interrupted"
    letting_go.still_at_work(number)
    assert releases.standing(releases.find(number)) == "running"
    releases.continue_(number, by_sweepers=True, **WHY)
    Release.objects.filter(pk=number).update(worked_at=long_ago)
    assert releases.standing(releases.find(number)) == "running"  # a sweeper comes to it


def test_sweepers_work_off_what_is_theirs_and_nothing_else(three_held):
    (first, *_) = rows()
    begin(first.id)
    sweeper.sweep()
    assert three_held.accepted() == []
    number = begin(by_sweepers=True)
    sweeper.sweep()
    assert len(three_held.accepted()) == 3
    assert releases.find(number).state == "done"


def test_old_releases_go_with_what_they_let_go(nine_held, full):
    number = begin(nine_held[0])
    worked_off(number)
    old = timezone.now() - timedelta(days=91)
    going_on = begin(nine_held[1])
    Release.objects.update(begun_at=old)
    for part in retention.parts():
        list(part.prune())
    assert list(Release.objects.values_list("pk", flat=True)) == [going_on]
    assert not Released.objects.exists()
