"""What queues store by functions of their own: noted there, judged when their worker comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import management
from django.core.mail import EmailMessage
from django.db import transaction

import notifyguard
from notifyguard import hooks, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import notes
from notifyguard.context import Task, running_task, travelling
from notifyguard.decision import Sending
from notifyguard.models import FrozenMessage
from notifyguard.notification import PASS_HEADER
from tests.compat import peers
from tests.compat.test_queue_backends import ANN, BOB, peer
from tests.mailbox import closed_port, come_due, rows, states
from tests.operators import release

__all__ = ["peer"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Their own: old names of Django's.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

NOTHING_LEFT: list[Any] = []
HOUR = timedelta(hours=1)


@pytest.fixture
def post_office(mailbox, settings):
    with peers.installed(settings, "post_office"):
        chosen = peers.PostOffice()
        chosen.configure(settings, mailbox.sink.port)
        yield chosen


@pytest.fixture
def mailer(mailbox, settings):
    with peers.installed(settings, "mailer"):
        chosen = peers.Mailer()
        chosen.configure(settings, mailbox.sink.port)
        yield chosen


def stop(pattern: str) -> None:
    switchboard.set_switch(pattern, Sending.HOLD, reason="test", actor=unrestricted("me"))


def test_what_is_suppressed_does_not_leave(peer, mailbox):
    with notifyguard.suppressed(reason="backfill"):
        peer.enqueue(ANN)
    peer.work()
    assert mailbox.accepted() == NOTHING_LEFT
    (row,) = rows()
    assert (row.state, row.rule, row.reason) == ("discarded", "suppressed", "backfill")
    peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == [ANN]


def test_the_inform_step_inside_of_what_is_suppressed_does(peer, mailbox):
    with (
        notifyguard.suppressed(reason="backfill"),
        notifyguard.unsuppressed("ticket.announcement", reason="tell them"),
        notifyguard.notification("ticket.announcement"),
    ):
        peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == [ANN]


@pytest.mark.needs("mailer")
def test_what_is_suppressed_in_the_worker_stays_so(mailer, mailbox):
    """Whatever was lifted where it was queued: who stops a process means all that it sends.

    post_office delivers in threads, which inherit what the process was started with only.
    """
    with notifyguard.unsuppressed(reason="tell them"):
        mailer.enqueue(ANN)
    with notifyguard.suppressed(reason="a copy of the site"):
        mailer.work()
    assert (mailbox.accepted(), states()) == (NOTHING_LEFT, ["discarded"])


def test_one_key_leaves_once(peer, mailbox):
    for _ in range(2):
        with notifyguard.notification("ticket.modified", key="4711:3"):
            peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == [ANN]
    assert {row.type for row in rows()} == {"ticket.modified"}


def test_its_type_is_the_function_that_called_the_queue(peer, mailbox):
    peer.enqueue(ANN)
    name = f"tests.compat.peers.{type(peer).__name__}.enqueue"
    stop(name)
    peer.work()
    (row,) = rows()
    assert (row.type, row.state, row.rule) == (name, "held", "switch")
    assert mailbox.accepted() == NOTHING_LEFT


def test_what_is_held_is_whole_and_leaves_through_the_last_backend(peer, mailbox):
    stop("ticket.*")
    with notifyguard.notification("ticket.modified"):
        peer.enqueue(ANN)
    peer.work()
    (row,) = rows()
    assert row.state == "held"
    switchboard.clear_switch("ticket.*", reason="test", actor=unrestricted("me"))
    release(row.id)
    sweeper.sweep()
    assert (mailbox.recipients(), states()) == ([ANN], ["sent"])
    assert mailbox.accepted()[0]["x"] == {}


def test_the_same_row_sent_again_leaves_once(peer, mailbox):
    peer.enqueue(ANN)
    for _ in range(2):
        peer.work()
        peer.queue_again()
    peer.work()
    assert mailbox.recipients() == [ANN]


def test_two_that_look_the_same_both_leave(peer, mailbox):
    for _ in range(2):
        peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == [ANN, ANN]


def test_after_a_failure_it_is_tried_again(peer, mailbox, settings):
    """By its queue; or by us, where the queue held a transaction open, so that it was kept."""
    peer.enqueue(ANN)
    peer.configure(settings, closed_port())
    peer.work()
    peer.configure(settings, mailbox.sink.port)
    peer.try_again()
    peer.work()
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == [ANN]


def test_a_task_that_is_run_again_queues_it_again_and_it_leaves_once(peer, mailbox):
    for _ in range(2):
        with running_task(Task("tickets.tasks.tell", "4711")):
            peer.enqueue(ANN)
            peer.enqueue(ANN)
            peer.enqueue(BOB)
    peer.work()
    assert mailbox.recipients() == [ANN, ANN, BOB]


def test_what_was_rolled_back_in_a_task_does_not_count(peer, mailbox):
    """Else the next run, in which all goes well, queues another message than this one."""
    for is_first in (True, False):
        with running_task(Task("tickets.tasks.tell", "4711")):
            if is_first:
                with transaction.atomic():
                    peer.enqueue(ANN)
                    transaction.set_rollback(True)
            peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == [ANN]


def test_rolled_back_nothing_is_queued_and_nothing_recorded(peer, mailbox):
    with transaction.atomic():
        peer.enqueue(ANN)
        transaction.set_rollback(True)
    peer.work()
    assert (states(), peer.statuses(), mailbox.accepted()) == ([], [], [])


@pytest.mark.parametrize("hours", [1, 13])
def test_what_waited_for_a_dead_worker_is_as_late_as_it_is(
    peer, mailbox, settings, monkeypatch, hours
):
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "TYPES": {"ticket.*": {"max_age": 12 * HOUR}}}
    written = notes.written

    def earlier(note):
        due_at = note.said.due_at - hours * HOUR
        return written(replace(note, said=replace(note.said, due_at=due_at)))

    monkeypatch.setattr(notes, "written", earlier)
    with notifyguard.notification("ticket.modified"):
        peer.enqueue(ANN)
    peer.work()
    assert mailbox.recipients() == ([ANN] if hours == 1 else [])
    assert [(row.state, row.rule) for row in rows()] == (
        [("sent", "")] if hours == 1 else [("held", "stale")]
    )


def test_a_note_that_nobody_here_signed_may_have_said_anything(peer, mailbox, settings):
    peer.enqueue(ANN)
    settings.SECRET_KEY = "another"
    for _ in range(2):
        peer.work()
        peer.queue_again()
    assert {(row.state, row.rule, row.reason) for row in rows()} == {
        ("held", "suppressed", travelling.UNREADABLE)
    }
    assert mailbox.accepted() == NOTHING_LEFT
    for row in rows():
        release(row.id)
    sweeper.sweep()
    assert mailbox.recipients() == [ANN]


def test_a_note_signed_by_the_key_before_is_good(peer, mailbox, settings):
    peer.enqueue(ANN)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    peer.work()
    assert mailbox.recipients() == [ANN]


@pytest.mark.parametrize("through_django", [False, True])
def test_the_headers_of_another_message_do_not_lift_what_is_suppressed(
    peer, mailbox, through_django
):
    """Among them is its note, or its pass."""
    if through_django:
        EmailMessage("s", "b", "a@example.com", [ANN]).send()
    else:
        peer.enqueue(ANN)
    (headers,) = peer.headers()
    assert PASS_HEADER in headers
    peer.work()
    with notifyguard.suppressed(reason="backfill"):
        peer.enqueue_with(headers, BOB)
    peer.work()
    assert mailbox.recipients() == [ANN]
    assert [(row.recipient, row.reason) for row in rows(state="discarded")] == [(BOB, "backfill")]
    peer.enqueue_with(headers, BOB)
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]


@pytest.mark.parametrize("through_django", [False, True])
def test_nor_do_they_say_what_another_message_is(peer, mailbox, through_django):
    """What a block around it says does: else what is suppressed by its type leaves as that one."""
    with notifyguard.notification("newsletter.issue"):
        if through_django:
            EmailMessage("s", "b", "a@example.com", [ANN]).send()
        else:
            peer.enqueue(ANN)
    (headers,) = peer.headers()
    peer.work()
    for _ in range(2):
        with notifyguard.notification("ticket.modified", key="4711:3"):
            with notifyguard.suppressed("ticket.*", reason="backfill"):
                peer.enqueue_with(headers, BOB)
            peer.enqueue_with(headers, BOB)
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]
    assert {(row.type, row.state) for row in rows(recipient=BOB)} >= {
        ("ticket.modified", "sent"),
        ("ticket.modified", "discarded"),
    }
    assert {row.type for row in rows(recipient=BOB)} == {"ticket.modified"}


def test_a_note_that_nobody_here_signed_is_in_doubt_in_another_message_too(peer, mailbox, settings):
    peer.enqueue(ANN)
    (headers,) = peer.headers()
    settings.SECRET_KEY = "another"
    with notifyguard.suppressed("other.*", reason="backfill"):
        peer.enqueue_with(headers, BOB)
    peer.work()
    assert [(row.state, row.reason) for row in rows()] == [("held", travelling.UNREADABLE)] * 2
    assert mailbox.accepted() == NOTHING_LEFT


def test_what_was_judged_is_not_judged_again_where_something_else_is_suppressed(peer, mailbox):
    with (
        notifyguard.suppressed("other.*", reason="backfill"),
        notifyguard.notification("ticket.modified"),
    ):
        EmailMessage("s", "b", "a@example.com", [ANN]).send()
    assert [(row.type, row.rule) for row in rows()] == [("ticket.modified", "handed on")]
    peer.work()
    assert mailbox.recipients() == [ANN]
    assert [(row.type, row.state) for row in rows()] == [("ticket.modified", "sent")]


def test_bypassed_nothing_is_noted_and_what_was_noted_leaves_without_it(peer, mailbox, settings):
    with notifyguard.suppressed(reason="backfill"):
        peer.enqueue(ANN)
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "MODE": "bypass"}
    peer.enqueue(BOB)
    assert [PASS_HEADER in headers for headers in peer.headers()] == [True, False]
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]
    assert [envelope["x"] for envelope in mailbox.accepted()] == [{}, {}]


def test_in_tests_rows_are_as_they_always_were_where_nothing_is_said(peer, mailbox, settings):
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "IN_TESTS": "light"}
    peer.enqueue(ANN)
    assert peer.headers() == [{}]
    with notifyguard.suppressed(reason="backfill"):
        peer.enqueue(BOB)
    peer.work()
    assert mailbox.recipients() == [ANN]


def test_without_the_hooks_nothing_is_noted(peer):
    hooks.uninstall()
    try:
        peer.enqueue(ANN)
    finally:
        hooks.install()
    assert peer.headers() == [{}]


def test_of_a_message_that_migrate_queues_nobody_hears(peer, mailbox, monkeypatch):
    from django.core.management.commands.migrate import Command

    from notifyguard.hooks import patching

    original = vars(Command)["handle"]
    hooks.uninstall()
    with monkeypatch.context() as patch:
        patch.setattr(Command, "handle", lambda self, **_: peer.enqueue(ANN))
        hooks.install()
        management.call_command("migrate", verbosity=0)
        hooks.uninstall()
    hooks.install()
    assert patching.is_ours(vars(Command)["handle"])
    assert original is not None
    peer.work()
    assert [(row.state, row.reason) for row in rows()] == [("discarded", "manage.py migrate")]


@pytest.mark.needs("post_office")
def test_post_office_keeps_what_it_was_told(post_office, mailbox, settings, tmp_path):
    from django.core.files.base import ContentFile
    from post_office import mail

    settings.MEDIA_ROOT = tmp_path
    stop("ticket.*")
    with notifyguard.notification("ticket.modified"):
        email = mail.send(
            ANN,
            "from@example.com",
            cc=[BOB],
            subject="Ticket {{ id }}",
            message="Hello",
            html_message="<b>Hello</b>",
            context={"id": 7},
            headers={"X-Kept": "yes"},
            attachments={"a.txt": ContentFile(b"attached")},
            priority="high",
        )
    assert (email.pk is not None, email.subject, email.headers["X-Kept"]) == (
        True,
        "Ticket 7",
        "yes",
    )
    post_office.work()
    held = rows()
    assert {row.state for row in held} == {"held"}
    assert "a.txt" in FrozenMessage.objects.get().payload
    switchboard.clear_switch("ticket.*", reason="test", actor=unrestricted("me"))
    for row in held:
        release(row.id)
    sweeper.sweep()
    assert mailbox.recipients() == [ANN, BOB]
    (envelope,) = mailbox.accepted()
    assert (envelope["subject"], envelope["x"]) == ("Ticket 7", {"X-Kept": "yes"})


@pytest.mark.needs("post_office")
def test_post_office_renders_templates_when_it_delivers(post_office, mailbox):
    from post_office import mail
    from post_office.models import EmailTemplate

    EmailTemplate.objects.create(name="moved", subject="To {{ where }}", content="Now {{ where }}")
    with notifyguard.suppressed("other.*", reason="backfill"):
        mail.send(
            ANN,
            "f@example.com",
            template="moved",
            context={"where": "Rome"},
            render_on_delivery=True,
        )
    post_office.work()
    assert mailbox.subjects() == ["To Rome"]


@pytest.mark.needs("post_office")
def test_post_office_many_at_a_time(post_office, mailbox):
    from post_office import mail

    with notifyguard.suppressed("ticket.*", reason="backfill"):
        with notifyguard.notification("ticket.modified"):
            mail.send_many([{"recipients": [ANN], "sender": "f@example.com", "subject": "s"}])
        mail.send_many(
            [{"recipients": [to], "sender": "f@example.com", "subject": "s"} for to in (ANN, BOB)]
        )
    post_office.work()
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["discarded", "sent", "sent"]


@pytest.mark.needs("post_office")
def test_post_office_at_once(post_office, mailbox):
    from post_office import mail

    with notifyguard.suppressed(reason="backfill"):
        mail.send(ANN, "f@example.com", subject="s", message="m", priority="now")
    mail.send(BOB, "f@example.com", subject="s", message="m", priority="now")
    assert mailbox.recipients() == [BOB]
    assert states() == ["discarded", "sent"]


@pytest.mark.needs("post_office")
def test_post_office_later_is_not_late(post_office, mailbox, settings):
    from post_office import mail
    from post_office.models import Email

    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "TYPES": {"*": {"max_age": HOUR}}}
    at = datetime.now(UTC) + 5 * HOUR
    mail.send(ANN, "f@example.com", subject="s", message="m", scheduled_time=at)
    (email,) = Email.objects.all()
    note = notes.read(EmailMessage(headers=email.headers))
    assert note
    assert note.said.due_at == at
    Email.objects.update(scheduled_time=None)
    post_office.work()
    assert mailbox.recipients() == [ANN]


@pytest.mark.needs("mailer")
def test_mailer_in_all_its_ways(mailer, mailbox, settings):
    import mailer as package

    settings.ADMINS, settings.MANAGERS = [("A", "a@example.com")], [("M", "m@example.com")]
    with notifyguard.suppressed("ticket.*", reason="backfill"):
        with notifyguard.notification("ticket.modified"):
            package.send_html_mail("s", "b", "<b>b</b>", "f@example.com", [ANN])
            package.send_mass_mail([("s", "b", "f@example.com", [ANN])])
        package.send_html_mail(
            "s", "b", "<b>b</b>", "f@example.com", [BOB], headers={"X-Kept": "1"}
        )
        package.mail_admins("s", "b")
        package.mail_managers("s", "b")
    mailer.work()
    assert mailbox.recipients() == ["a@example.com", BOB, "m@example.com"]
    assert {row.type for row in rows(state="sent")} >= {"django.admins"}
    assert {"X-Kept": "1"} in [envelope["x"] for envelope in mailbox.accepted()]


@pytest.mark.needs("mailer")
def test_mailer_leaves_a_callers_message_as_it_is(mailer):
    from mailer.models import Message

    message = EmailMessage("s", "b", "f@example.com", [ANN], headers={"X-Kept": "1"})
    stored = Message(email=message)
    assert message.extra_headers == {"X-Kept": "1"}
    assert set(stored.email.extra_headers) == {"X-Kept", PASS_HEADER}
    again = Message(email=stored.email)
    assert again.email.extra_headers == stored.email.extra_headers
