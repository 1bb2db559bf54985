"""Spooled tasks, for tests; by themselves, since Celery may not be installed."""

from __future__ import annotations

import uuid
from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from notifyguard.contrib.celery.models import SpooledTask


class SpooledTaskFactory(DjangoModelFactory):
    """A task that is due in four days; what is kept of it cannot be published."""

    class Meta:
        model = SpooledTask

    app = "tests"
    task_id = factory.LazyFunction(lambda: str(uuid.uuid4()))
    name = "tickets.tasks.follow_up"
    due_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=4))
    publish_at = factory.SelfAttribute("due_at")
    spooled_at = factory.LazyFunction(timezone.now)
    call_site = "tickets.views.close"
    message = "{}"
