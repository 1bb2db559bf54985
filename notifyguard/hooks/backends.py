"""``send_messages`` of every backend class: the last point that all mail passes.

Classes below ``BaseEmailBackend`` are found by walking its subclasses and by its
``__init_subclass__``; those that merely look like a backend, where Django imports
them by their dotted path and where a message carries one as its connection.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import django.core.mail
from django.core.mail.backends.base import BaseEmailBackend

from notifyguard import conf
from notifyguard.hooks import patching

_SMTP = "django.core.mail.backends.smtp.EmailBackend"
_OUR_SMTP = "notifyguard.backends.smtp.EmailBackend"


def install() -> None:
    """Guard every backend class there is, and every one that will be."""
    patching.replace(BaseEmailBackend, "__init_subclass__", _guarding_init_subclass)
    for cls in _with_subclasses(BaseEmailBackend):
        guard_class(cls)
    for module in _modules_that_import_backends():
        patching.replace(module, "import_string", _guarding_import)


def guard_class(cls: type) -> None:
    """Guard ``send_messages`` in the class and in its bases, each where it is defined.

    Done anew at each use, because code may have put its own in place since.
    """
    if not patching.installed():
        return
    for owner in cls.__mro__:
        attribute = vars(owner).get("send_messages")
        if attribute is None or patching.is_ours(attribute) or _is_mock(attribute):
            continue
        patching.replace(owner, "send_messages", _guarded)


def guard_instance(backend: Any) -> None:
    """Guard a ``send_messages`` that stands on the instance alone, and in none of its classes.

    One that replaces a class's method mostly calls it, and is asked there, where more
    is known of what the backend does.
    """
    own = getattr(backend, "__dict__", {}).get("send_messages")
    if own is None or isinstance(own, _OfInstance) or _is_mock(own):
        return
    if patching.installed() and not hasattr(type(backend), "send_messages"):
        vars(backend)["send_messages"] = _OfInstance(_guarded(staticmethod(own)), backend)


class _OfInstance(functools.partial[Any]):
    """The guarded ``send_messages`` of one instance."""


def _guarded(original: Any) -> Callable[..., Any]:
    """Return ``send_messages`` that asks the gate, and calls ``original`` as it was called."""
    parameter = _first_parameter(original)

    @functools.wraps(original)
    def send_messages(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        method = patching.bound(original, self)
        if not patching.installed() or not (args or kwargs):
            return method(*args, **kwargs)
        if args:
            messages, inner = args[0], lambda given: method(given, *args[1:], **kwargs)
        else:
            name = parameter if parameter in kwargs else next(iter(kwargs))
            messages, inner = kwargs[name], lambda given: method(**{**kwargs, name: given})
        inner.__wrapped__ = method  # type: ignore[attr-defined]
        return _ask_gate(self, inner, messages)

    return send_messages


def _ask_gate(backend: Any, inner: Callable[[Any], Any], messages: Any) -> Any:
    # Here and not above: the gate needs models, and this module is loaded without them.
    from notifyguard import gate

    return gate.send_messages(backend, inner, messages)


def _first_parameter(original: Any) -> str | None:
    """Return what the messages are called: ``email_messages``, in locmem ``messages``."""
    function = getattr(original, "__func__", original)
    skipped = 0 if isinstance(original, staticmethod) else 1
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a compiled function may have no signature
        return None
    return next(iter(names[skipped:]), None)


def _is_mock(attribute: object) -> bool:
    """Return whether a test put it there; a mock sends nothing, and wants to be found."""
    mock = sys.modules.get("unittest.mock")
    if mock is None:
        return False
    return isinstance(attribute, mock.NonCallableMock) or isinstance(
        getattr(attribute, "__dict__", {}).get("mock"), mock.NonCallableMock
    )


def _with_subclasses(cls: type) -> Iterator[type]:
    yield cls
    subclasses: list[type] = cls.__subclasses__()
    for subclass in subclasses:
        yield from _with_subclasses(subclass)


def _guarding_init_subclass(earlier: Any) -> Any:
    def guard_subclass(cls: type[Any], /, **kwargs: Any) -> None:
        if earlier is None:
            super(BaseEmailBackend, cls).__init_subclass__(**kwargs)
        else:
            earlier.__get__(None, cls)(**kwargs)
        guard_class(cls)

    return classmethod(guard_subclass)


def _modules_that_import_backends() -> list[ModuleType]:
    modules: list[ModuleType] = [django.core.mail]
    # Django 6.1 and later: ``mailers`` live in a module of their own.
    handler = sys.modules.get("django.core.mail.handler")
    return modules if handler is None else [*modules, handler]


def _guarding_import(original: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.wraps(original)
    def import_string(dotted_path: str) -> Any:
        found = original(_chosen(dotted_path))
        if isinstance(found, type):
            guard_class(found)
            return found
        return _guarding_factory(found) if callable(found) else found

    return import_string


def _chosen(dotted_path: str) -> str:
    ours = dotted_path == _SMTP and conf.current().replace_smtp_backend
    return _OUR_SMTP if ours and patching.installed() else dotted_path


def _guarding_factory(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the factory, with the class of what it makes guarded.

    ``EMAIL_BACKEND`` may name any callable.
    """

    @functools.wraps(factory)
    def make_backend(*args: Any, **kwargs: Any) -> Any:
        backend = factory(*args, **kwargs)
        guard_class(type(backend))
        return backend

    return make_backend
