"""A gate that writes down what it is asked and lets everything pass: to test the seam alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import django
from django.core.mail import EmailMessage

import notifyguard
from notifyguard import context, hooks
from notifyguard.hooks import patching

SENT = ("hello", "body", "from@example.com", ["to@example.com"])
"""The arguments of ``send_mail`` for the ordinary message."""


def message(subject: str = "hello", **options: Any) -> Any:
    """Return the ordinary message."""
    return EmailMessage(subject, *SENT[1:], **options)


def choose_backend(settings: Any, path: str, **options: Any) -> None:
    """Set the project's backend, as its Django has it."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": path, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND = path


@dataclass(frozen=True)
class Asked:
    """One question to the gate."""

    backend: Any
    messages: Any
    ambient: context.Ambient

    @property
    def subjects(self) -> list[str]:
        return [message.subject for message in self.messages]


@dataclass
class RecordingGate:
    """Stands in for ``notifyguard.gate``."""

    asked: list[Asked] = field(default_factory=list)
    refuses: bool = False

    def send_messages(self, backend: Any, inner: Callable[[Any], Any], messages: Any) -> Any:
        self.asked.append(Asked(backend, messages, context.current()))
        return 0 if self.refuses else inner(messages)

    @property
    def subjects(self) -> list[str]:
        return [subject for asked in self.asked for subject in asked.subjects]


@contextmanager
def recording_gate() -> Iterator[RecordingGate]:
    """Install the hooks with a recording gate behind them."""
    recording = RecordingGate()
    stand_in = ModuleType("notifyguard.gate")
    stand_in.send_messages = recording.send_messages  # type: ignore[attr-defined]
    earlier, were_installed = sys.modules.get("notifyguard.gate"), patching.installed()
    _put(stand_in)
    hooks.install()
    try:
        yield recording
    finally:
        if not were_installed:
            hooks.uninstall()
        _put(earlier)


def _put(gate: ModuleType | None) -> None:
    if gate is None:
        sys.modules.pop("notifyguard.gate", None)
        vars(notifyguard).pop("gate", None)
    else:
        sys.modules["notifyguard.gate"] = gate
        vars(notifyguard)["gate"] = gate
