"""The real queue backends, set up as a project does it: nothing in them is about notifyguard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.db import connection

SMTP = "django.core.mail.backends.smtp.EmailBackend"
HAS_MAILERS = django.VERSION >= (6, 1)


class PostOffice:
    """django-post_office, its worker being ``manage.py send_queued_mail``."""

    app = "post_office"

    def configure(self, settings: Any, port: int) -> None:
        queue = "post_office.EmailBackend"
        settings.POST_OFFICE = {"MAX_RETRIES": 3, "RETRY_INTERVAL": timedelta(0)}
        if HAS_MAILERS:
            options = {"host": "127.0.0.1", "port": port, "timeout": 10}
            settings.MAILERS = {
                "default": {"BACKEND": queue},
                "smtp": {"BACKEND": SMTP, "OPTIONS": options},
            }
            settings.POST_OFFICE |= {"DEFAULT_MAILER": "smtp"}
        else:
            _configure_before_mailers(settings, queue, port)
            settings.POST_OFFICE |= {"BACKENDS": {"default": SMTP}}

    def enqueue(self, to: str, subject: str = "s") -> None:
        """Queue a message without asking Django, as its documentation begins."""
        from post_office import mail

        mail.send(to, "a@example.com", subject=subject, message="b")

    def enqueue_with(self, headers: dict[str, str], to: str) -> None:
        """Queue a message with the headers of another, as a button "send again" may do."""
        from post_office import mail

        mail.send(to, "a@example.com", subject="s", message="b", headers=headers)

    def headers(self) -> list[dict[str, str]]:
        """What is stored of each message's headers."""
        from post_office.models import Email

        return [email.headers or {} for email in Email.objects.order_by("id")]

    def work(self) -> None:
        # Of its own: by default all that run on a machine, also beside these tests, wait for one.
        with TemporaryDirectory() as folder:
            call_command("send_queued_mail", verbosity=0, lockfile=f"{folder}/post_office")

    def statuses(self) -> list[str]:
        from post_office.models import Email

        return [email.get_status_display() for email in Email.objects.order_by("id")]

    def queue_again(self) -> None:
        """What an operator does in its admin: "requeue selected emails"."""
        from post_office.models import STATUS, Email

        Email.objects.update(status=STATUS.queued)

    try_again = queue_again


class Mailer:
    """django-mailer, its worker being ``manage.py send_mail``. It knows no MAILERS."""

    app = "mailer"

    def configure(self, settings: Any, port: int) -> None:
        if HAS_MAILERS:
            del settings.MAILERS
        _configure_before_mailers(settings, "mailer.backend.DbBackend", port)
        settings.MAILER_EMAIL_BACKEND = SMTP
        settings.MAILER_USE_FILE_LOCK = False
        self._copies: list[str] = []

    def enqueue(self, to: str, subject: str = "s") -> None:
        """Queue a message without asking Django, as its documentation begins."""
        import mailer

        mailer.send_mail(subject, "b", "a@example.com", [to])

    def enqueue_with(self, headers: dict[str, str], to: str) -> None:
        """Queue a message with the headers of another, as a button "send again" may do."""
        import mailer

        mailer.send_html_mail("s", "b", "<b>b</b>", "a@example.com", [to], headers=headers)

    def headers(self) -> list[dict[str, str]]:
        """What is stored of each message's headers."""
        from mailer.models import Message

        return [message.email.extra_headers for message in Message.objects.order_by("id")]

    def work(self) -> None:
        from mailer.models import Message

        self._copies = [message.message_data for message in Message.objects.order_by("id")]
        call_command("send_mail", verbosity=0)

    def statuses(self) -> list[str]:
        from mailer.models import Message, MessageLog

        waiting = [message.get_priority_display() for message in Message.objects.order_by("id")]
        return [log.get_result_display() for log in MessageLog.objects.order_by("id")] + waiting

    def queue_again(self) -> None:
        """What is left of a message once it is sent is its log; a restore brings it back."""
        from mailer.models import Message

        for data in self._copies:
            Message.objects.create(message_data=data)

    def try_again(self) -> None:
        """What ``manage.py retry_deferred`` does."""
        from mailer.models import Message

        Message.objects.retry_deferred()


@contextmanager
def installed(settings: Any, app: str) -> Iterator[None]:
    """Add an app to the project, with its tables and admin, for as long as a test runs."""
    registered = dict(admin.site._registry)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, app]
    # Without its migrations: there are many, and every test would wait for all of them.
    models = list(apps.get_app_config(app).get_models())
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.constraint_checks_disabled(), connection.schema_editor() as editor:
            for model in reversed(models):
                editor.delete_model(model)
        # Or every admin page that a later test of this process opens asks for the app.
        admin.site._registry = registered


def _configure_before_mailers(settings: Any, queue: str, port: int) -> None:
    if HAS_MAILERS and hasattr(settings, "MAILERS"):
        del settings.MAILERS
    settings.EMAIL_BACKEND = queue
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_TIMEOUT = 10
