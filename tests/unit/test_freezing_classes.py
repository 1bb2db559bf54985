"""Only a message class of the project comes back to life, and no code of the payload runs."""

from __future__ import annotations

import sys
import types

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings

from notifyguard.channels.freezing import Frozen, freeze, thaw
from notifyguard.exceptions import CannotFreeze, CannotThaw

HERE = __name__


class Rendered(EmailMultiAlternatives):
    """Like djoser's: send() has another signature, and __init__ has side effects."""

    mixed_case = "class attribute"
    notifyguard_leave_out = ("request",)

    def __init__(self, request=None, **kwargs):
        super().__init__(**kwargs)
        self.request = request
        self.rendered = True

    def send(self, to):
        raise AssertionError("released through the connection instead")

    class Nested(EmailMessage):
        pass


class Slotted(EmailMessage):
    __slots__ = ("extra",)


def payload(path):
    frozen = freeze(EmailMessage("s", "b"))
    return Frozen({**frozen.payload, "class": path}, frozen.blobs)


def test_subclass_comes_back_without_running_its_init(monkeypatch):
    frozen = freeze(Rendered(request=object(), subject="s"))
    monkeypatch.delattr(Rendered, "__init__")
    again = thaw(frozen)
    assert type(again) is Rendered
    assert again.rendered
    assert again.subject == "s"


def test_what_the_class_leaves_out_is_not_kept():
    assert "request" not in vars(thaw(freeze(Rendered(request=object()))))


def test_request_and_context_of_djoser_messages_are_left_out(monkeypatch):
    # Its class by name, as django-templated-mail defines it.
    base = type(
        "BaseEmailMessage", (EmailMultiAlternatives,), {"__module__": "templated_mail.mail"}
    )
    module = types.ModuleType("templated_mail.mail")
    module.BaseEmailMessage = base
    monkeypatch.setitem(sys.modules, "templated_mail.mail", module)
    message = base("s", "rendered")
    message.request, message.context, message.html = object(), {"user": object()}, None
    again = thaw(freeze(message))
    assert again.body == "rendered"
    assert vars(again).keys() & {"request", "context", "html"} == {"html"}


def test_nested_class_comes_back():
    assert type(thaw(freeze(Rendered.Nested()))) is Rendered.Nested


def test_class_that_another_process_cannot_find_is_refused_at_the_freeze():
    class Local(EmailMessage):
        pass

    with pytest.raises(CannotFreeze, match="Local"):
        freeze(Local())


def test_class_whose_name_now_belongs_to_another_is_refused_at_the_freeze():
    impostor = type("Rendered", (EmailMessage,), {"__module__": HERE})
    with pytest.raises(CannotFreeze, match="Rendered"):
        freeze(impostor())


def test_class_with_slots_is_refused_at_the_freeze():
    with pytest.raises(CannotFreeze, match="extra"):
        freeze(Slotted())


@pytest.mark.parametrize(
    "path",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:object",
        "django.core.mail:send_mail",
        "django.core.mail.message:Gone",
        f"{HERE}:HERE",
        "",
        "nothing",
        ":",
    ],
)
def test_nothing_but_a_message_class_comes_back(path):
    with pytest.raises(CannotThaw, match=f"message class {path} "):
        thaw(payload(path))


@pytest.fixture
def stray(tmp_path, monkeypatch):
    """A message class in a module that nobody has imported."""
    (tmp_path / "stray_mail.py").write_text(
        "from django.core.mail import EmailMessage\nclass Stray(EmailMessage): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "stray_mail:Stray"
    sys.modules.pop("stray_mail", None)


def test_module_is_not_imported_because_a_payload_names_it(stray):
    with pytest.raises(CannotThaw, match=r"'stray_mail.Stray'.*FROZEN_CLASSES"):
        thaw(payload(stray))
    assert "stray_mail" not in sys.modules


def test_class_in_the_settings_is_imported(stray):
    with override_settings(NOTIFYGUARD={"FROZEN_CLASSES": ["stray_mail.Stray"]}):
        assert type(thaw(payload(stray))).__name__ == "Stray"


def test_class_of_an_installed_app_is_imported(tmp_path, monkeypatch):
    (tmp_path / "stray_app").mkdir()
    (tmp_path / "stray_app" / "__init__.py").touch()
    (tmp_path / "stray_app" / "mail.py").write_text(
        "from django.core.mail import EmailMessage\nclass Stray(EmailMessage): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(INSTALLED_APPS=["stray_app"]):
        assert type(thaw(payload("stray_app.mail:Stray"))).__name__ == "Stray"


def test_module_that_is_gone_is_named():
    with (
        override_settings(NOTIFYGUARD={"FROZEN_CLASSES": ["gone.Mail"]}),
        pytest.raises(CannotThaw, match="No module named 'gone'"),
    ):
        thaw(payload("gone:Mail"))


def test_attributes_of_modules_are_looked_up_without_running_code(monkeypatch):
    module = types.ModuleType("lazy_module")
    module.__getattr__ = lambda name: pytest.fail("ran")
    monkeypatch.setitem(sys.modules, "lazy_module", module)
    with pytest.raises(CannotThaw):
        thaw(payload("lazy_module:Mail"))
