"""What a project's own tests are given: nothing changes unasked, and the real path when asked."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from typing import Any

import pytest
from django.core import mail
from django.core.mail import send_mail
from django.core.management import call_command
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

import notifyguard
from notifyguard import conf, testing
from notifyguard.contrib import pytest as plugin
from notifyguard.models import Delivery
from notifyguard.testing import NotifyguardTestMixin
from tests.factories import DeliveryFactory
from tests.mailbox import letter
from tests.migrating.models import ANNOUNCEMENT, Ticket, inform_owners
from tests.settings import BASE_DIR

guarded_mail = plugin.guarded_mail


def send(to: str = "ann@example.com", **more: Any) -> Any:
    return letter(to, **more).send()


def suppress(*to: str, **more: Any) -> None:
    with notifyguard.suppressed(reason="backfill"):
        for each in to or ("ann@example.com",):
            send(each, **more)


class LightTests(SimpleTestCase):
    """No database is allowed here, and none is asked for."""

    def test_mail_reaches_the_outbox_and_what_is_suppressed_does_not(self):
        with notifyguard.suppressed(reason="backfill"):
            send_mail("Hello", "Look at it.", None, ["ann@example.com"])
        send_mail("Hello", "Look at it.", None, ["bob@example.com"])
        assert [message.to for message in mail.outbox] == [["bob@example.com"]]


class LightQueryTests(TestCase):
    def test_nothing_is_asked_and_nothing_is_held(self):
        with self.assertNumQueries(0), transaction.atomic(savepoint=False):
            for key in (None, "1", "1"):
                send(key=key)
            suppress()
        assert len(mail.outbox) == 3
        assert not Delivery.objects.exists()


class InATestCase(NotifyguardTestMixin, TestCase):
    def test_the_real_path_works_in_the_transaction_of_the_test(self):
        with transaction.atomic():
            assert [send(key="1", subject="Hello") for _ in range(2)] == [1, 0]
        self.guarded_mail.assert_sent(type="ticket.modified", to="Ann <ANN@example.com>", count=1)
        assert len(mail.outbox) == 1

    def test_each_test_begins_with_nothing(self):
        assert self.guarded_mail.deliveries() == []
        assert send(key="1", subject="Hello") == 1


class InATransactionTestCase(NotifyguardTestMixin, TransactionTestCase):
    def test_keyed_mail_waits_for_the_commit(self):
        with transaction.atomic():
            send(key="1")
            with pytest.raises(AssertionError, match="queued"):
                self.guarded_mail.assert_sent()
            with pytest.raises(AssertionError, match="queued"):
                self.guarded_mail.assert_nothing_sent()
        self.guarded_mail.assert_sent(count=1)

    def test_each_test_begins_with_nothing(self):
        self.guarded_mail.assert_nothing_sent()
        assert send(key="1") == 1


def test_the_real_path_ends_with_the_block(db):
    with testing.guarded_mail():
        assert conf.current().in_tests == "full"
    assert conf.current().in_tests == "light"


def test_deliveries_from_before_the_test_do_not_count(db):
    DeliveryFactory()
    with testing.guarded_mail() as guarded:
        guarded.assert_nothing_sent()
        send()
        guarded.assert_sent(count=1)


def test_held_and_discarded_mail_is_told_apart(guarded_mail, settings):
    suppress()
    settings.NOTIFYGUARD = {**settings.NOTIFYGUARD, "SENDING": "hold"}
    send("bob@example.com", type="ticket.closed")
    guarded_mail.assert_nothing_sent()
    (held,) = guarded_mail.assert_held(type="ticket.*", to="bob@example.com", rule="switch")
    assert held.type == "ticket.closed"
    (discarded,) = guarded_mail.assert_discarded(count=1, rule="suppressed")
    assert discarded.reason == "backfill"


@pytest.mark.parametrize(
    ("assertion", "wanted"),
    [
        ("assert_sent", {"to": "bob@example.com"}),
        ("assert_sent", {"type": "invoice.*"}),
        ("assert_sent", {"count": 2}),
        ("assert_sent", {"count": 0}),
        ("assert_nothing_sent", {}),
        ("assert_held", {}),
        ("assert_discarded", {}),
        ("assert_discarded", {"rule": "switch", "count": 1}),
    ],
    ids=repr,
)
def test_an_assertion_that_fails_lists_what_was_found(guarded_mail, assertion, wanted):
    send()
    with pytest.raises(AssertionError) as failure:
        getattr(guarded_mail, assertion)(**wanted)
    assert "sent       ticket.modified to ann@example.com" in str(failure.value)


def test_the_list_of_what_was_found_is_short(guarded_mail):
    suppress(*(f"person{number}@example.com" for number in range(25)))
    with pytest.raises(AssertionError, match=r"(?s)backfill.*and 5 more"):
        guarded_mail.assert_sent()


@pytest.mark.parametrize("written", [{}, {"IN_TESTS": "full", "MODE": "bypass"}])
def test_an_assertion_on_a_path_that_is_off_fails_and_says_so(guarded_mail, written):
    with override_settings(NOTIFYGUARD=written):
        send()
        with pytest.raises(AssertionError, match="records nothing here"):
            guarded_mail.assert_nothing_sent()


def test_a_rehearsal_says_whom_code_would_notify_and_notifies_nobody(guarded_mail):
    send("before@example.com")
    with guarded_mail.rehearsal() as rehearsal:
        for to in ("bob@example.com", "ann@example.com", "ANN@example.com"):
            send(to)
        send("ann@example.com", type="ticket.closed", key="1")
    send("after@example.com")
    assert rehearsal.would_notify == 2
    assert rehearsal.by_type == {"ticket.closed": 1, "ticket.modified": 2}
    assert rehearsal.recipients() == ["ann@example.com", "bob@example.com"]
    assert rehearsal.recipients("*.closed") == ["ann@example.com"]
    rehearsal.assert_notifies(2)
    rehearsal.assert_notifies(1, type="ticket.closed")
    assert [message.to[0] for message in mail.outbox] == ["before@example.com", "after@example.com"]


def test_a_rehearsal_leaves_the_keys_free(guarded_mail):
    with guarded_mail.rehearsal():
        send(key="1")
    assert send(key="1") == 1


def test_a_rehearsal_of_something_else_fails_and_lists_whom(guarded_mail):
    with guarded_mail.rehearsal() as rehearsal:
        send()
    with pytest.raises(AssertionError) as failure:
        rehearsal.assert_notifies(5000)
    assert "would notify 1 people" in str(failure.value)
    assert "not 5,000" in str(failure.value)
    assert "ticket.modified: 1" in str(failure.value)
    assert "discarded  ticket.modified to ann@example.com" in str(failure.value)


@pytest.mark.django_db(transaction=True)
def test_a_migration_is_rehearsed_by_running_it(guarded_mail, settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.migrating"]
    call_command("migrate", "migrating", "0001", verbosity=0)
    try:
        with guarded_mail.rehearsal() as assessing:
            call_command("migrate", "migrating", "0002", verbosity=0)
        guarded_mail.assert_nothing_sent()
        assessing.assert_notifies(3)
        assert assessing.by_type == {"tests.migrating.models.Ticket.save": 3}
        with guarded_mail.rehearsal() as informing:
            call_command("migrate", "migrating", "0003", verbosity=0)
        assert informing.by_type[ANNOUNCEMENT] == 3
        guarded_mail.assert_sent(type=ANNOUNCEMENT, count=3)
        with guarded_mail.rehearsal() as again:
            inform_owners()
        assert again.recipients() == [f"owner{number}@example.com" for number in range(3)]
        assert Ticket.objects.count() == 3
    finally:
        call_command("migrate", "migrating", "zero", verbosity=0)


def test_pytest_finds_the_fixture_by_its_entry_point():
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]
    (path,) = project["entry-points"]["pytest11"].values()
    assert import_module(path).guarded_mail is plugin.guarded_mail


def test_the_plugin_loads_nothing_of_django_in_a_project_that_has_none(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_plain():\n    assert 'django' not in sys.modules\n"
    )
    # By name alone, or an installed notifyguard would bring its plugin a second time.
    options = ["-p", "notifyguard.contrib.pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *options, str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(BASE_DIR),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_kit_works_where_pytest_is_not_installed(process_environment):
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import django; django.setup()\n"
        "from notifyguard.testing import NotifyguardTestMixin, guarded_mail\n"
    )
    subprocess.run([sys.executable, "-c", code], env=process_environment, cwd=BASE_DIR, check=True)
