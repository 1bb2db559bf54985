"""Where a message comes from, read off the call stack: its type when nobody said, and its origin.

So per-type switches work on the first day, before any code was changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from notifyguard.notification import MAX_TYPE_LENGTH

UNKNOWN = "unknown"


@dataclass(slots=True)
class Whence:
    """What the call stack tells.

    Attributes:
        known: the type, when Django or a known app sends the message.
        call_site: module and function of the first frame outside Django and this app.
        origin: ``web``, ``command``, ``shell`` or ``script``.
    """

    known: str = ""
    call_site: str = ""
    origin: str = "script"

    @property
    def type(self) -> str:
        """The type to use when nobody named one."""
        return self.known or self.call_site or UNKNOWN


def whence(through: str = "") -> Whence:
    """Walk the call stack of the running code, the innermost frame first.

    Args:
        through: the package that was asked to send, which says nothing about who did.
    """
    found = Whence()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        package = module.partition(".")[0]
        if package in _WATCHED:
            _recognise(found, module, frame)
        if not found.call_site and package != through and not _is_transparent(package, frame):
            found.call_site = site(module, frame.f_code.co_qualname)
        frame = frame.f_back
    return found


def _recognise(found: Whence, module: str, frame: FrameType) -> None:
    function = frame.f_code.co_qualname
    if not found.known and (name := _KNOWN.get((module, function))) is not None:
        found.known = name(frame.f_locals)
    if (origin := _ORIGINS.get((module, function))) is not None:
        found.origin = origin(frame.f_locals)


def _is_transparent(package: str, frame: FrameType) -> bool:
    if package in _TRANSPARENT:
        return True
    # By place and not by name: a project may well have an app called "calendar".
    path = frame.f_code.co_filename
    in_stdlib = path.startswith(_STDLIB) and _SITE_PACKAGES not in path
    return in_stdlib or path.startswith("<frozen")


def site(module: str, qualname: str) -> str:
    """Return how a function is named as a call site, and as a type that nobody named."""
    function = qualname.replace("<locals>.", "").translate(_NO_BRACKETS)
    return f"{module}.{function}"[:MAX_TYPE_LENGTH]


_NO_BRACKETS = str.maketrans("", "", "<>")  # of <lambda>, <module>


def _always(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda _: name


def _allauth(names: dict[str, Any]) -> str:
    # account/email/password_reset_key -> allauth.password_reset_key
    prefix = str(names.get("template_prefix", ""))
    return f"allauth.{prefix.rpartition('/')[2] or 'mail'}"[:MAX_TYPE_LENGTH]


def _command(names: dict[str, Any]) -> str:
    module = type(names.get("self")).__module__
    return "shell" if module.endswith((".shell", ".shell_plus")) else "command"


_KNOWN: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
    ("django.core.mail", "mail_admins"): _always("django.admins"),
    ("django.core.mail", "mail_managers"): _always("django.admins"),
    ("mailer", "mail_admins"): _always("django.admins"),
    ("mailer", "mail_managers"): _always("django.admins"),
    ("django.contrib.auth.forms", "PasswordResetForm.send_mail"): _always("auth.password_reset"),
    # Projects override send_mail() for their own templates; save() does nothing else.
    ("django.contrib.auth.forms", "PasswordResetForm.save"): _always("auth.password_reset"),
    ("django.core.management.commands.sendtestemail", "Command.handle"): _always("django.test"),
    ("allauth.account.adapter", "DefaultAccountAdapter.send_mail"): _allauth,
}

_ORIGINS: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
    ("django.core.handlers.base", "BaseHandler.get_response"): _always("web"),
    ("django.core.handlers.base", "BaseHandler._get_response"): _always("web"),
    ("django.core.handlers.base", "BaseHandler.get_response_async"): _always("web"),
    ("django.core.handlers.base", "BaseHandler._get_response_async"): _always("web"),
    ("django.core.management.base", "BaseCommand.execute"): _command,
}

_WATCHED = frozenset({"django", "allauth", "mailer"})
# Frames that say nothing about who sends: the framework, this app, what runs functions.
_TRANSPARENT = frozenset(
    {"django", "notifyguard", "asgiref", "celery", "billiard", "gevent", "greenlet", ""}
)
_STDLIB = str(Path(os.__file__).parent) + os.sep
_SITE_PACKAGES = os.sep + "site-packages" + os.sep
