"""A backend of which nothing is known: its errors prove nothing, and the caller sees them."""

from __future__ import annotations

import functools

import pytest
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from notifyguard import sweeper
from notifyguard.models import Claim, Delivery
from tests.mailbox import batch, letter, states, use_backend

pytestmark = pytest.mark.django_db(transaction=True)


class Backend(BaseEmailBackend):
    """A backend of the project, of which nothing is known, that fails as it is told."""

    failure: Exception | None = None
    returned: object = 1

    def send_messages(self, email_messages):
        if self.failure:
            raise self.failure
        return self.returned


@pytest.fixture
def backend(mailbox, settings, monkeypatch):
    use_backend(settings, f"{__name__}.Backend")
    return monkeypatch


@pytest.mark.parametrize("failure", [TimeoutError(), ValueError("late"), OSError("cut")])
def test_an_error_of_a_backend_nobody_knows_proves_nothing(backend, failure):
    backend.setattr(Backend, "failure", failure)
    with pytest.raises(type(failure)) as raised:
        letter(key="1").send()
    assert raised.value is failure
    assert states() == ["uncertain"]
    assert Claim.objects.count() == 1


def test_a_database_error_of_the_backend_itself_is_not_taken_for_the_ledgers(backend):
    backend.setattr(Backend, "failure", DatabaseError("the queue's table is gone"))
    with pytest.raises(DatabaseError, match="queue's table"):
        letter(key="1").send()
    assert states() == ["uncertain"]


@pytest.mark.parametrize(
    ("returned", "state"), [(1, "sent"), (None, "sent"), (["id"], "sent"), (0, "uncertain")]
)
def test_what_a_backend_returns_reaches_the_caller(backend, returned, state):
    backend.setattr(Backend, "returned", returned)
    assert batch(letter(key="1")) == returned
    assert states() == [state]


def test_whoever_stops_the_process_leaves_the_message_uncertain(backend):
    backend.setattr(Backend, "failure", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        letter(key="1").send()
    assert states() == ["uncertain"]


def test_what_a_project_put_around_a_backends_method_is_called_when_it_is_released_too(backend):
    called = []

    def counting(method):
        @functools.wraps(method)
        def send_messages(self, email_messages):
            called.append(len(email_messages))
            return method(self, email_messages)

        return send_messages

    backend.setattr(Backend, "send_messages", counting(Backend.send_messages))
    with transaction.atomic():
        letter(key="1").send()
        Delivery.objects.update(wake_at=timezone.now())
        # As if this process died before the commit was over.
        connection.run_on_commit.clear()
    sweeper.sweep()
    assert states() == ["sent"]
    assert called == [1]
