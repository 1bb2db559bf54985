"""Who may do what, written by hand: roles against the functions that do it, not against views.

A cell that says yes has changed something when the function returns; one that says no
has raised, named the permission, and changed nothing.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.utils import timezone

from notifyguard import blocked, hold, reconcile, switchboard
from notifyguard.actor import unrestricted
from notifyguard.admin.actors import actor_of
from notifyguard.contrib.celery import spooled
from notifyguard.contrib.celery.models import SpooledTask
from notifyguard.decision import Sending, State
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import deeds, held, uncertain
from notifyguard.ledger.held import bodies, releases, undoing
from notifyguard.ledger.held.choice import Choice
from notifyguard.models import BlockedAddress, Delivery, Event, FrozenMessage, Release, Switch
from tests.factories import (
    DeliveryFactory,
    ReleaseFactory,
    SwitchFactory,
    UserFactory,
)
from tests.spooled import SpooledTaskFactory

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY: list[str] = []
LOOKER = ["view_switch", "view_delivery", "view_heldmessage", "view_event"]
ROLES = {
    "nobody": NOBODY,
    "looker": LOOKER,
    "switcher": [*LOOKER, "set_switches"],
    "releaser": [*LOOKER, "release_held"],
    "discarder": [*LOOKER, "discard_held"],
    "body reader": [*LOOKER, "read_body"],
    "blocker": [*LOOKER, "block_addresses"],
    "resolver": [*LOOKER, "resolve_uncertain"],
    "canceller": [*LOOKER, "cancel_spooled"],
}


def stop(actor):
    switchboard.set_switch("*", Sending.HOLD, reason="x", actor=actor, everything=True)


def stop_at_once(actor):
    switchboard.stop("ticket.*", actor=actor)


def give_reason(actor):
    SwitchFactory(pattern="ticket.*")
    switchboard.give_reason("ticket.*", reason="x", actor=actor)


def read_body(actor):
    row = Delivery.objects.get(id=waiting(State.HELD))
    hold.keep(row.dispatch, hold.Frozen({}, {}), timezone.now())
    bodies.read(row, "text", actor=actor)


def set_to_discard(actor):
    until = timezone.now() + timedelta(hours=1)
    switchboard.set_switch("a.*", Sending.DISCARD, reason="x", actor=actor, expires_at=until)


def resume(actor):
    SwitchFactory(pattern="ticket.*")
    switchboard.clear_switch("ticket.*", reason="x", actor=actor)


def suppress(actor):
    deeds.record_suppression("*", "migrate", reason="x", actor=actor)


def waiting(state):
    return DeliveryFactory(state=state, wake_at=timezone.now()).id


def what_waits():
    return held.meant(Choice(ids=(waiting(State.HELD),)))


def begin_release(actor):
    releases.begin(what_waits(), reason="x", actor=actor)


def continue_release(actor):
    releases.continue_(ReleaseFactory(state="paused").pk, reason="x", actor=actor)


def pause_release(actor):
    releases.pause(ReleaseFactory().pk, reason="x", actor=actor)


def stop_release(actor):
    releases.stop(ReleaseFactory().pk, reason="x", actor=actor)


def discard(actor):
    list(held.discard(what_waits(), reason="x", actor=actor))


def undo(actor):
    dispatch = uuid4()
    DeliveryFactory(dispatch=dispatch, state=State.DISCARDED, rule="discarded")
    FrozenMessage.objects.create(
        dispatch=dispatch, type="a", payload="{}", size=2, frozen_at=timezone.now()
    )
    list(undoing.undo_discard(Choice(), reason="x", actor=actor))


def block(actor):
    blocked.block(["ann@example.com"], reason="x", actor=actor)


def unblock(actor):
    blocked.block(["ann@example.com"], reason="x", actor=unrestricted("x"))
    Event.objects.all().delete()
    blocked.unblock(["ann@example.com"], reason="x", actor=actor)


def resolve(actor):
    uncertain.resolve([waiting(State.UNCERTAIN)], NOT_SENT, reason="x", actor=actor)


def resolve_many(actor):
    found = [(waiting(State.UNCERTAIN), "")]
    list(uncertain.resolve_many(found, NOT_SENT, subject="x", reason="x", actor=actor))


def settle(actor):
    findings = reconcile.Findings(proven={NOT_SENT: [(waiting(State.UNCERTAIN), "")]})
    list(reconcile.settle(findings, subject="x", reason="x", actor=actor))


def cancel_spooled(actor):
    spooled.cancel([SpooledTaskFactory().pk], reason="x", actor=actor)


def hurry_spooled(actor):
    SpooledTaskFactory()
    spooled.hurry(reason="x", actor=actor)


NOT_SENT = uncertain.Finding.NOT_SENT
WHO_MAY = {
    stop: {"switcher"},
    stop_at_once: {"switcher"},
    give_reason: {"switcher"},
    set_to_discard: {"switcher"},
    resume: {"switcher"},
    suppress: {"switcher"},
    begin_release: {"releaser"},
    continue_release: {"releaser"},
    pause_release: {"releaser"},
    stop_release: {"releaser"},
    discard: {"discarder"},
    undo: {"discarder"},
    block: {"blocker"},
    unblock: {"blocker"},
    resolve: {"resolver"},
    resolve_many: {"resolver"},
    settle: {"resolver"},
    read_body: {"body reader"},
    cancel_spooled: {"canceller"},
    hurry_spooled: {"canceller"},
}
DEEDS = pytest.mark.parametrize("deed", WHO_MAY, ids=lambda deed: deed.__name__)


@pytest.fixture
def actor(rf, full):
    """The actor that the admin makes of a user with these rights."""

    def made(codenames=(), user=None):
        rights = Permission.objects.filter(
            content_type__app_label__startswith="notifyguard", codename__in=codenames
        )
        assert rights.count() == len(codenames)
        request = rf.get("/")
        request.user = user or UserFactory(username="ann", is_staff=True)
        if user is None:
            request.user.user_permissions.set(rights)
        return actor_of(request)

    return made


def trace():
    """All that the functions could have changed."""
    return (
        list(Switch.objects.values_list("pattern", "sending")),
        sorted(Delivery.objects.values_list("state", flat=True)),
        list(Release.objects.values_list("state", flat=True)),
        Event.objects.count(),
        BlockedAddress.objects.count(),
        SpooledTask.objects.count(),
    )


@pytest.mark.parametrize(
    ("deed", "role"),
    list(product(WHO_MAY, ROLES)),
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_each_role_does_what_it_may_and_nothing_else(actor, deed, role):
    someone = actor(ROLES[role])
    if role in WHO_MAY[deed]:
        deed(someone)
        assert Event.objects.get().actor == "ann"
        return
    with pytest.raises(NotAllowed, match=r"ann may not do this without notifyguard(_celery)?\."):
        deed(someone)
    switches, deliveries, releases_, events, blocks, left = trace()
    assert switches in ([], [("ticket.*", "hold")])
    assert deliveries in ([], ["discarded"], ["held"], ["uncertain"])
    assert releases_ in ([], ["paused"], ["running"])
    assert events == 0
    assert blocks == (deed is unblock)
    assert left == (deed in (cancel_spooled, hurry_spooled))


@DEEDS
def test_the_superuser_may_do_everything(actor, deed):
    deed(actor(user=UserFactory(username="root", is_superuser=True)))
    assert Event.objects.get().actor == "root"


@DEEDS
def test_who_is_no_longer_active_may_do_nothing(actor, deed):
    gone = UserFactory(username="ann", is_superuser=True, is_active=False)
    with pytest.raises(NotAllowed):
        deed(actor(user=gone))


def test_who_is_not_logged_in_is_nobody(actor):
    with pytest.raises(NotAllowed, match="Say who"):
        actor(user=AnonymousUser())
