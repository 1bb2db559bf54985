"""The page of spooled tasks, and the two subcommands that do the same from a terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.urls import reverse
from django.utils import timezone

from notifyguard.contrib.celery import spool
from notifyguard.contrib.celery.models import SpooledTask
from notifyguard.models import Event
from tests.integration.conftest import page, root
from tests.operators import deed, events, facts, operate
from tests.spooled import SpooledTaskFactory

__all__ = ["page", "root"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

SPOOLED = reverse("admin:notifyguard_celery_spooledtask_changelist")


def waiting(**more: Any) -> Any:
    return SpooledTaskFactory(**more)


def text(response):
    return " ".join(response.content.decode().split())


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def cancel(client, *rows, reason="merged", **more):
    sent = {"number": [row.pk for row in rows], "reason": reason} | more
    return client.post(SPOOLED, sent, follow=True)


# The page


def test_each_task_is_shown_with_when_and_from_where_and_without_its_arguments(root):
    waiting(message='{"body": "[[\\"ann@example.com\\"]]"}', note="Refused.")
    shown = text(root.get(SPOOLED))
    row = SpooledTask.objects.get()
    for expected in ("tickets.tasks.follow_up", row.task_id, "tickets.views.close", "Refused."):
        assert expected in shown
    assert "ann@example.com" not in shown
    assert 'aria-current="page">Spooled' in shown


def test_what_is_ticked_is_cancelled_with_a_reason_on_record(root):
    first, second, third = (waiting() for _ in range(3))
    response = cancel(root, first, second)
    assert "Cancelled: 2." in told(response)
    assert list(SpooledTask.objects.all()) == [third]
    assert sorted(events()) == sorted(
        (
            "cancel",
            each.task_id,
            "tickets.tasks.follow_up: spooled",
            "cancelled",
            1,
            "ann",
            "merged",
        )
        for each in (first, second)
    )


@pytest.mark.parametrize("given", [{"reason": ""}, {"number": []}, {"number": ["x", "9" * 30]}])
def test_without_a_reason_or_a_tick_nothing_is(root, given):
    response = cancel(root, waiting(), **given)
    assert response.status_code == 200
    assert SpooledTask.objects.count() == 1
    assert not Event.objects.exists()


def test_what_is_being_published_is_left_and_told(root):
    row = waiting(publish_at=timezone.now() - timedelta(hours=1))
    (taken,) = spool.take("tests", 1)
    assert "Cancelled: 0. Published meanwhile: 1." in told(cancel(root, row))
    SpooledTask.objects.update(publish_at=timezone.now() - timedelta(hours=1))  # its lease is over
    assert "Cancelled: 1." in told(cancel(root, row))
    spool.published([taken])  # it comes too late, and harms nobody


def test_who_may_only_look_sees_no_button_and_can_do_nothing(page):
    row = waiting()
    client = page("view_spooledtask")
    shown = text(client.get(SPOOLED))
    assert row.task_id in shown
    assert "checkbox" not in shown
    assert "Cancel them" not in shown
    assert "may not do this without notifyguard_celery.cancel_spooled" in told(cancel(client, row))
    assert SpooledTask.objects.count() == 1


def test_who_may_not_look_sees_neither_page_nor_tab(page):
    client = page("view_switch", "cancel_spooled")
    assert client.get(SPOOLED).status_code == 403
    assert SPOOLED not in text(client.get(reverse("admin:notifyguard_switch_changelist")))


def test_a_form_of_somebody_else_is_refused(root, client):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.cookies = root.cookies
    assert strict.post(SPOOLED, {"number": [1], "reason": "x"}).status_code == 403


def test_it_is_looked_for_by_name_and_by_id(root):
    wanted = waiting(name="tickets.tasks.remind")
    other = waiting()
    for term in ("tickets.tasks.remind", wanted.task_id):
        shown = text(root.get(SPOOLED, {"q": term}))
        assert wanted.task_id in shown
        assert other.task_id not in shown
    assert "Nothing waits under this name or id." in text(root.get(SPOOLED, {"q": "no\x00thing"}))


def test_pages_go_on_where_the_last_one_ended(root, monkeypatch):
    monkeypatch.setattr("notifyguard.contrib.celery.admin.LISTED", 2)
    due = timezone.now() + timedelta(days=1)
    rows = [waiting(due_at=due + timedelta(hours=n // 2)) for n in range(5)]
    seen, query = [], ""
    for _ in range(3):
        response = root.get(f"{SPOOLED}?{query}")
        seen += [each.pk for each in response.context["found"]]
        query = response.context["further"]
    assert seen == [row.pk for row in rows]
    assert query == ""


@pytest.mark.parametrize(
    "place", ["x", "2026-01-01 1", "2026-01-01T00:00+00:00 x", f"2026-01-01T00:00+00:00 {'9' * 40}"]
)
def test_a_slip_in_the_address_is_no_error(root, place):
    waiting()
    assert root.get(SPOOLED, {"behind": place}).status_code == 200


# From a terminal


def test_spooled_lists_what_waits_those_first_that_are_due_first(full):
    later = waiting(due_at=timezone.now() + timedelta(days=9))
    sooner = waiting(name="tickets.tasks.remind", note="Refused.")
    shown = operate("spooled")
    assert shown.index(sooner.task_id) < shown.index(later.task_id)
    assert "tickets.views.close" in shown
    assert "Refused." in shown
    assert later.task_id not in operate("spooled", "tickets.tasks.remind")
    assert "These are the first 1; --limit shows more." in operate("spooled", "--limit", "1")
    assert [each["task_id"] for each in facts("spooled")] == [sooner.task_id, later.task_id]
    assert operate("spooled", "no.such.task").strip() == "No task waits for its time."


def test_spooled_warns_when_nobody_publishes(full):
    waiting()
    assert "nobody publishes" not in operate("spooled")
    waiting(publish_at=timezone.now() - timedelta(minutes=6))
    assert "nobody publishes them" in operate("spooled")


def test_cancel_spooled_takes_them_out_on_record(full):
    first, second = waiting(), waiting()
    said = deed("cancel-spooled", first.task_id, second.task_id)
    assert "2 tasks cancelled; they never run." in said
    assert not SpooledTask.objects.exists()
    assert {(event[0], event[5], event[6]) for event in events()} == {("cancel", "ann", "a test")}


def test_an_unknown_id_is_refused_and_nothing_is_cancelled(full):
    row = waiting()
    with pytest.raises(CommandError, match=r"Not in the spool: nothing\. Nothing was changed"):
        deed("cancel-spooled", row.task_id, "nothing")
    assert SpooledTask.objects.count() == 1


def test_what_is_being_published_is_not_cancelled(full):
    row = waiting(publish_at=timezone.now() - timedelta(hours=1))
    spool.take("tests", 1)
    with pytest.raises(CommandError, match="1 task left: they are being published"):
        deed("cancel-spooled", row.task_id)
