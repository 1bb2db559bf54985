"""A thousand real messages under default settings: none held, all in the ledger as sent."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from email import message_from_bytes, policy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.forms import PasswordResetForm
from django.core import mail
from django.core.mail import EmailMessage

from notifyguard.models import Delivery, FrozenMessage
from tests.factories import UserFactory
from tests.mailbox import staff, use_backend
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 250
EMPTY = "django.core.mail.backends.dummy.EmailBackend"

ALLAUTH = """
import sys
from pathlib import Path
from django.conf import settings
settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "allauth", "allauth.account"]
settings.MIDDLEWARE = [*settings.MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
import django
django.setup()
settings.NOTIFYGUARD = {}
settings.ALLOWED_HOSTS = ["*"]
import allauth
from allauth.account.adapter import get_adapter
from allauth.core import context
from django.test import RequestFactory
from tests.mailbox import use_server
use_server(settings, int(sys.argv[1]))
request = RequestFactory().get("/")
folder = Path(allauth.__file__).parent / "templates/account/email"
names = sorted(path.name.removesuffix("_subject.txt") for path in folder.glob("*_subject.txt"))
told = {"code": "123456", "password_reset_url": "https://example.com/r", "username": "ann",
        "activate_url": "https://example.com/a", "key": "k", "from_email": "old@example.com",
        "to_email": "new@example.com", "deleted_email": "old@example.com",
        "signup_url": "https://example.com/s", "timestamp": "now", "ip": "10.0.0.1"}
with context.request_context(request):
    for number in range(int(sys.argv[2])):
        name = names[number % len(names)]
        get_adapter().send_mail(f"account/email/{name}", f"user{number}@example.com", told)
print(len(names))
"""


def message_files() -> list[Path]:
    if not (find_spec("test") and (found := find_spec("test.test_email")) and found.origin):
        return []
    return sorted((Path(found.origin).parent / "data").glob("msg_*.txt"))


def from_file(path: Path) -> list[EmailMessage]:
    """The mail in a file as somebody would send it on: in four ways."""
    content = path.read_bytes()
    parsed = message_from_bytes(content, policy=policy.compat32)
    subject = " ".join(str(parsed["subject"] or path.name).split())
    body = content.decode("utf-8", "replace")
    ways = [EmailMessage(subject, body, "a@example.com", ["b@example.com"])]
    for mimetype in ("message/rfc822", "application/octet-stream", "text/plain"):
        message = EmailMessage(subject, "See below.", "a@example.com", ["b@example.com"])
        message.attach("mail.eml", content, mimetype)
        ways.append(message)
    return ways


def sent_by_django(message: EmailMessage, settings: Any) -> bool:
    """Whether Django alone gets the message to the server: some files are broken on purpose."""
    guarded, settings.NOTIFYGUARD = settings.NOTIFYGUARD, {"MODE": "bypass"}
    try:
        return message.send() == 1
    except Exception:  # any: of Django, of Python's email package or of the server
        return False
    finally:
        settings.NOTIFYGUARD = guarded


def test_the_message_files_of_python_are_sent(mailbox, settings):
    files = message_files()
    if not files:
        pytest.skip("this Python was built without test.test_email: its message files are missing")
    messages = [message for path in files for message in from_file(path)]
    fit = [message for message in messages if sent_by_django(message, settings)]
    mailbox = replace(mailbox, before=mailbox.before + len(fit))
    assert sum(message.send() for message in fit * 2) == len(fit) * 2 > COUNT
    assert_all_sent(mailbox, len(fit) * 2)


def test_password_resets_and_error_mail_of_django_are_sent(mailbox, settings):
    settings.ADMINS = staff("admin@example.com")
    for number in range(COUNT):
        if number % 10 == 0:
            mail.mail_admins(f"Error {number}", "It broke.")
            continue
        user = UserFactory()
        user.set_password("old")
        user.save()
        form = PasswordResetForm({"email": user.email})
        assert form.is_valid()
        form.save(domain_override="example.com")
    assert_all_sent(mailbox, COUNT)
    assert Counter(Delivery.objects.values_list("type", flat=True)) == {
        "auth.password_reset": COUNT * 9 // 10,
        "django.admins": COUNT // 10,
    }


@pytest.mark.needs("allauth")
def test_the_mails_of_allauth_are_sent_and_known(mailbox, mail_server, process_environment):
    command = [sys.executable, "-c", ALLAUTH, str(mail_server.port), str(COUNT)]
    ran = subprocess.run(
        command, env=process_environment, cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert_all_sent(mailbox, COUNT)
    types = set(Delivery.objects.values_list("type", flat=True))
    assert len(types) == int(ran.stdout)
    assert all(type.startswith("allauth.") for type in types)


def test_many_mails_that_say_the_same_are_no_duplicates(mailbox, settings):
    use_backend(settings, EMPTY)
    message = EmailMessage("Weekly report", "Nothing happened.", None, ["ann@example.com"])
    assert sum(message.send() for _ in range(COUNT)) == COUNT
    assert Delivery.objects.filter(state="sent").count() == COUNT


def assert_all_sent(mailbox, count):
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {"sent": count}
    assert len(mailbox.accepted()) == count
    assert not FrozenMessage.objects.exists()
