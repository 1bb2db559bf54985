"""Tasks that are run more than once, by what breaks or because they ask for it."""

from __future__ import annotations

import os
import time
from smtplib import SMTPException
from typing import Any

from celery import shared_task
from django.core.mail import send_mail
from django.db import transaction

from tests.celery.tasks import wait_for_file

AT_ONCE = {"countdown": 0}


def mail(to: str, subject: str = "A ticket was modified") -> None:
    """Mail one person; the text is another each time."""
    send_mail(subject, f"It is {time.time()}.", None, [to])


def first(path: str) -> bool:
    """Tell whether nobody has asked for this file before, in whatever process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@shared_task
def one(to: str) -> None:
    """Mail one person."""
    mail(to)


@shared_task
def two(to: str) -> None:
    """Mail one person the same twice, and mean it."""
    mail(to)
    mail(to)


@shared_task
def one_and_wait(to: str, until: str) -> None:
    """Mail one person, and go on working until the test makes a file."""
    mail(to)
    wait_for_file(until)


@shared_task(autoretry_for=(RuntimeError,), retry_kwargs=AT_ONCE)
def three(people: list[str], failed: str) -> None:
    """Mail three people, and fail after the second, once."""
    for number, to in enumerate(people, start=1):
        mail(to)
        if number == 2 and first(failed):
            raise RuntimeError


@shared_task(bind=True, autoretry_for=(RuntimeError,), retry_kwargs=AT_ONCE)
def other_on_retry(self: Any, to: str) -> None:
    """Say that it failed, and in the retry that it worked."""
    if self.request.retries:
        mail(to, "It worked")
    else:
        mail(to, "It failed")
        raise RuntimeError


@shared_task
def every_day(to: str, days: int) -> None:
    """Mail one person the same each day; days are short here."""
    mail(to)
    if days > 1:
        every_day.apply_async((to, days - 1))


@shared_task(autoretry_for=(SMTPException,), retry_kwargs=AT_ONCE)
def retried(to: str) -> None:
    """Mail one person, and again if the server says no."""
    mail(to)


@shared_task
def inside(to: str) -> None:
    """Mail one person when the transaction commits."""
    with transaction.atomic():
        mail(to)


@shared_task(bind=True)
def replaced(self: Any, to: str) -> None:
    """Mail one person, and go on as another task."""
    mail(to)
    self.replace(one.si(to))
