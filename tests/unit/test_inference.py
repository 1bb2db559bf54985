"""The type of a message nobody identified, and where it came from, read off the call stack."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.forms import PasswordResetForm
from django.core import mail
from django.core.management import call_command
from django.test import Client

from notifyguard.channels import inference
from notifyguard.channels.inference import whence
from tests.factories import UserFactory
from tests.mailbox import staff
from tests.smtp import PROJECT


@pytest.fixture
def found(monkeypatch):
    """Types found for what is sent, in that order."""
    seen = []

    def noted():
        seen.append(whence())
        return seen[-1]

    monkeypatch.setattr(inference, "whence", noted)
    return seen


class Notifier:
    def notify(self):
        return whence()


def test_the_type_is_module_and_function_of_the_sender():
    def inner():
        return whence()

    assert whence().type == f"{__name__}.test_the_type_is_module_and_function_of_the_sender"
    assert Notifier().notify().type == f"{__name__}.Notifier.notify"
    assert inner().type == f"{__name__}.test_the_type_is_module_and_function_of_the_sender.inner"
    assert (lambda: whence())().type.endswith(".lambda")


def test_frames_of_django_and_the_standard_library_are_passed_by(found):
    functools.reduce(lambda *_: mail.send_mail("s", "b", None, ["a@example.com"]), [1, 2])
    (one,) = found
    assert one.call_site.startswith(f"{__name__}.")


def test_a_thread_pool_sends_in_the_name_of_what_it_runs():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(Notifier().notify).result().type == f"{__name__}.Notifier.notify"


def test_an_app_that_is_called_like_a_standard_module_is_the_projects_own():
    module = types.ModuleType("calendar.signals")
    module.whence = whence
    exec(
        compile("def notify(): return whence()", "project/calendar/signals.py", "exec"),
        vars(module),
    )
    assert module.notify().type == "calendar.signals.notify"


def test_code_without_a_module_name_does_not_break():
    names: dict[str, Any] = {"whence": whence, "__name__": None}
    exec("found = whence()", names)
    assert names["found"].type


def test_a_very_long_name_is_cut():
    names: dict[str, Any] = {"whence": whence, "__name__": "project." + "x" * 500}
    exec("def notify(): return whence()", names)
    assert len(names["notify"]().type) <= 200


@pytest.mark.parametrize("send", [mail.mail_admins, mail.mail_managers])
def test_mail_to_admins_and_managers_is_known(found, settings, send):
    settings.ADMINS = settings.MANAGERS = staff("admin@example.com")
    send("It broke", "All of it.")
    assert [one.type for one in found] == ["django.admins"]


def test_the_test_mail_is_known_and_comes_from_a_command(found):
    call_command("sendtestemail", "a@example.com")
    assert [(one.type, one.origin) for one in found] == [("django.test", "command")]


@pytest.mark.django_db
def test_a_password_reset_is_known_whoever_overrides_its_sending(found, settings):
    class Form(PasswordResetForm):
        def send_mail(self, subject, body, context, from_email, to_email, **templates):
            mail.send_mail("Reset", "link", from_email, [to_email])

    user = UserFactory(email="ann@example.com")
    user.set_password("old")
    user.save()
    form = Form({"email": user.email})
    assert form.is_valid()
    form.save(domain_override="example.com")
    assert [one.type for one in found] == ["auth.password_reset"]


def view(request):
    from django.http import HttpResponse

    return HttpResponse(whence().origin)


def test_a_request_comes_from_the_web(settings):
    from django.urls import path

    urls = types.ModuleType("urls_of_inference")
    urls.urlpatterns = [path("", view)]
    settings.ROOT_URLCONF = urls
    settings.MIDDLEWARE = []
    assert Client().get("/").content == b"web"


def test_plain_code_is_a_script():
    assert whence().origin == "script"


def test_the_shell_is_told_from_other_commands():
    code = "from notifyguard.channels.inference import whence; print(whence().origin)"
    ran = subprocess.run(
        [sys.executable, "-m", "django", "shell", "-c", code],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.split()[-1] == "shell", ran.stderr
