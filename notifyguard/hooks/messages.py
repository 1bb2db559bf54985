"""``EmailMessage``: the connection it is about to use, and the header it must not show."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from django.core.mail import EmailMessage

from notifyguard.hooks import patching
from notifyguard.hooks.backends import guard_class, guard_instance
from notifyguard.notification import PASS_HEADER

# Django 6.1 turned ``connection`` into a deprecated property over ``_connection``.
CONNECTION = "_connection" if "connection" in vars(EmailMessage) else "connection"


def install() -> None:
    """Wrap ``send`` and ``message``, and see each connection that a message is given."""
    patching.replace(EmailMessage, "send", GuardedSend)
    patching.replace(EmailMessage, "message", _without_pass)
    patching.replace(EmailMessage, CONNECTION, lambda _: GuardedConnection(CONNECTION))


class GuardedSend:
    """``EmailMessage.send``, guarding the connection's class when it is looked up.

    A descriptor that returns Django's own bound method, not a wrapper: Django 6.1
    looks at the frame that called ``send`` to tell whom a deprecation concerns, and
    one frame more puts the blame on Django. ``hasattr`` looks up, too, so looking
    up twice does no harm.
    """

    def __init__(self, original: Any) -> None:
        self._original = original

    def __get__(self, message: Any, owner: type | None = None) -> Any:
        if message is None:
            return self._original
        if patching.installed():
            guard_connection(vars(message).get(CONNECTION))
            _guard_get_connection(type(message))
        return patching.bound(self._original, message)

    # ``mock.patch(autospec=True)`` takes the attribute out of the class's __dict__,
    # and specifies a function only if it is shown one that can be called.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._original(*args, **kwargs)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return FunctionType

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class GuardedConnection:
    """The attribute that holds a message's connection, which may be of any class.

    ``send_mass_mail(connection=...)`` sends without ``EmailMessage.send``, but it
    gives the connection to its messages first.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, message: Any, owner: type | None = None) -> Any:
        try:
            return message.__dict__[self._name]
        except (AttributeError, KeyError):
            name = (owner or type(message)).__name__
            raise AttributeError(f"{name!r} has no attribute {self._name!r}") from None

    def __set__(self, message: Any, connection: Any) -> None:
        message.__dict__[self._name] = connection
        guard_connection(connection)

    def __delete__(self, message: Any) -> None:
        try:
            del message.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


def guard_connection(connection: Any) -> None:
    """Guard a connection, whatever it is; ``None`` stands for Django's choice."""
    if connection is not None:
        guard_class(type(connection))
        guard_instance(connection)


def _guard_get_connection(cls: type) -> None:
    """Guard what a subclass's own ``get_connection`` returns, before Django 6.1.

    From 6.1 on, Django refuses messages that have the method.
    """
    for owner in cls.__mro__:
        if owner is EmailMessage:
            return
        attribute = vars(owner).get("get_connection")
        if isinstance(attribute, FunctionType) and not patching.is_ours(attribute):
            patching.replace(owner, "get_connection", _guarding_result)


def _guarding_result(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_connection(*args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        guard_connection(connection)
        return connection

    return get_connection


def _without_pass(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def message(self: EmailMessage, *args: Any, **kwargs: Any) -> Any:
        built = original(self, *args, **kwargs)
        # Removing a header that is not there is no error in any of the MIME classes.
        del built[PASS_HEADER]
        return built

    return message
