"""Real objects with plain defaults: a test names only what it is about."""

from __future__ import annotations

import uuid
from datetime import timedelta

import factory
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils import timezone
from factory.django import DjangoModelFactory

from notifyguard import models
from notifyguard.decision import Sending, State
from notifyguard.ledger.held.choice import EVERYTHING


class UserFactory(DjangoModelFactory):
    """A user with an address; ``is_staff=True`` for the admin."""

    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda n: f"user{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")


class MessageFactory(factory.Factory):
    """A plain text message to one recipient, another one each time."""

    class Meta:
        model = EmailMessage

    subject = factory.Sequence(lambda n: f"Ticket {n} was modified")
    body = "Somebody changed a ticket that you own.\n"
    from_email = "tickets@example.com"
    to = factory.Sequence(lambda n: [f"owner{n}@example.com"])


class RichMessageFactory(MessageFactory):
    """A message with an HTML alternative and an attachment."""

    class Meta:
        model = EmailMultiAlternatives

    alternatives = (("<p>Somebody changed a ticket that you own.</p>", "text/html"),)
    attachments = (("ticket.csv", "id;status\n1;open\n", "text/csv"),)


class DeliveryFactory(DjangoModelFactory):
    """A ledger row of a message that was sent a moment ago."""

    class Meta:
        model = models.Delivery

    id = factory.LazyFunction(uuid.uuid4)
    dispatch = factory.LazyFunction(uuid.uuid4)
    type = "ticket.modified"
    recipient = factory.Sequence(lambda n: f"owner{n}@example.com")
    state = State.SENT
    instance = "host/boot/1"
    # A second, since what the ledger writes goes by the database's clock and not by ours.
    created_at = factory.LazyFunction(lambda: timezone.now() - timedelta(seconds=1))
    changed_at = factory.SelfAttribute("created_at")


class ClaimFactory(DjangoModelFactory):
    """A key taken by a delivery."""

    class Meta:
        model = models.Claim

    # Version 5, as MariaDB's own uuid type asks of the random bits.
    key = factory.LazyFunction(lambda: uuid.UUID(bytes=uuid.uuid4().bytes, version=5))
    delivery = factory.LazyFunction(uuid.uuid4)
    claimed_at = factory.LazyFunction(timezone.now)


class HeartbeatFactory(DjangoModelFactory):
    """A worker that was heard a moment ago."""

    class Meta:
        model = models.Heartbeat

    kind = "worker"
    name = factory.Sequence(lambda n: f"celery@web-{n}")
    every = 15
    heard_at = factory.LazyFunction(lambda: timezone.now() - timedelta(seconds=1))


class ReleaseFactory(DjangoModelFactory):
    """A release of all that is held, begun a moment ago; it means nothing that exists."""

    class Meta:
        model = models.Release

    choice = factory.LazyFunction(lambda: EVERYTHING.as_json())
    types = factory.LazyFunction(lambda: ["ticket.modified"])
    subject = "*"
    reason = "a test"
    actor = "tester"
    meant = 0
    last = factory.LazyFunction(uuid.uuid4)
    begun_at = factory.LazyFunction(timezone.now)
    next_at = factory.SelfAttribute("begun_at")
    worked_at = factory.SelfAttribute("begun_at")


class SwitchFactory(DjangoModelFactory):
    """A person's hold on one notification type."""

    class Meta:
        model = models.Switch

    pattern = "ticket.*"
    sending = Sending.HOLD
    reason = "a test"
    author = "tester"
    set_at = factory.LazyFunction(timezone.now)
