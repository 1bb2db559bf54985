"""A key that changes hands: whose content it stands for, and from when its lease runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from notifyguard import sweeper
from notifyguard.models import Claim, Delivery
from tests.mailbox import batch, letter, rows, states

pytestmark = pytest.mark.django_db(transaction=True)


def to_ann(subject):
    return letter("ann@example.com", key="1", subject=subject, body="text")


def inside(happens):
    """A message at which something happens, once: when a batch that has claimed all builds it."""

    class Message(EmailMessage):
        happened = False

        def message(self, *args, **kwargs):
            if not self.happened:
                self.happened = True
                happens()
            return super().message(*args, **kwargs)

    return Message("First", "text", "from@example.com", ["first@example.com"])


def send_now():
    assert to_ann("new").send() == 1


def send_on_commit():
    with transaction.atomic():
        to_ann("new").send()


@pytest.mark.parametrize("take", [send_now, send_on_commit])
def test_a_key_that_was_taken_over_stands_for_the_content_that_left(mailbox, take):
    assert batch(inside(take), to_ann("old")) == 1
    assert mailbox.recipients() == ["ann@example.com", "first@example.com"]
    assert "new" in mailbox.subjects()
    for subject in ("new", "old"):
        assert to_ann(subject).send() == 0
    (conflict,) = rows(state="held")  # the batch's own, which came second
    assert (conflict.rule, conflict.subject) == ("conflict", "old")


def test_a_key_whose_content_nobody_knows_any_more_is_a_duplicate_and_no_conflict(mailbox):
    transaction.set_autocommit(False)
    try:
        to_ann("one").send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    Delivery.objects.update(wake_at=timezone.now())
    sweeper.sweep()
    Claim.objects.update(fingerprint=None)
    for subject in ("one", "two"):
        assert to_ann(subject).send() == 0
    assert states() == ["sent"]
    assert Claim.objects.get().duplicates == 2


def test_the_lease_of_what_was_taken_over_runs_from_then(mailbox):
    """Else a sweeper would end it at once, and its key would be free while it is sent."""

    def an_hour_later():
        then = timezone.now() - timedelta(hours=1)
        Delivery.objects.filter(recipient="ann@example.com").update(
            created_at=then, changed_at=then
        )
        assert batch(inside(sweeper.sweep), to_ann("same")) == 2

    assert batch(inside(an_hour_later), to_ann("same")) == 1
    assert mailbox.subjects().count("same") == 1
    (row,) = rows(recipient="ann@example.com")
    assert (row.state, row.attempt) == ("sent", 2)
    assert row.created_at > timezone.now() - timedelta(minutes=5)
