"""``@guarded``: a task that notifies by other means than mail, a text message say, does it once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from celery import current_task
from celery.app.task import Task
from celery.exceptions import Retry
from celery.local import Proxy

from notifyguard.addresses import normalised, storable
from notifyguard.channels import effect, inference
from notifyguard.decision import State
from notifyguard.exceptions import Stopped
from notifyguard.gate import effects
from notifyguard.notification import notification_of

Exceptions: TypeAlias = tuple[type[BaseException], ...]

P = ParamSpec("P")
R = TypeVar("R")

TRIED_AGAIN_AFTER = 60
"""Seconds until a task that is held asks once more; far below any visibility timeout."""


def guarded(
    *,
    key: object = None,
    type: str | None = None,
    recipient: str | Callable[..., object] = "",
    refused: Exceptions = (),
) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Have a task's body run once, however often the task is delivered, retried or killed.

    Its key is claimed, and the point of no return committed, before the body runs; the
    outcome is written after it. It stands under ``@app.task`` or ``@shared_task``.

    Args:
        key: what makes this one: a string or number, or a function of the task's arguments
            (without the task itself, where it is bound) that returns one. Without it, that
            which a ``notification()`` around says, or name and id of the task.
        type: the notification type, by which it is stopped; without it the task's name.
        recipient: whom it is for, or a function of the task's arguments that returns
            that: for limits, blocked recipients, and who asks later.
        refused: exceptions that prove that nothing has left. Then it has failed, its key is
            free, and a retry runs the body again. After any other it may have left: it is
            ``uncertain``, and the body is not run again.

    Returns:
        A decorator. The task returns what its body returns; ``None`` if the body was not run.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """
    _check(key, type, recipient, refused)

    def decorate(body: Callable[P, R]) -> Callable[P, R | None]:
        _check_body(body)
        site = inference.site(body.__module__, body.__qualname__)

        @wraps(body)
        def in_guard(*args: P.args, **kwargs: P.kwargs) -> R | None:
            told = partial(_told, args=args, kwargs=kwargs)
            described = effect.describe(site, type, told(key), _whom(told(recipient)))
            outcome = effects.once(
                described, partial(body, *args, **kwargs), partial(_proves, refused)
            )
            if outcome.state is State.HELD:
                raise _later(described.notification.type, outcome.reason)
            return outcome.value

        # Celery checks the arguments of a task where it is enqueued by this.
        in_guard.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
        return in_guard

    return decorate


def _told(what: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Return what is said of a call, by a value or by a function of its arguments."""
    if not callable(what):
        return what
    bound = bool(args) and isinstance(args[0], Task)
    return what(*args[bound:], **kwargs)


def _whom(recipient: object) -> str:
    """Return a recipient as the ledger compares it: an address as those of mail."""
    text = str(recipient)
    return normalised(text) if "@" in text and "/" not in text else storable(text, 320)


def _proves(refused: Exceptions, error: BaseException) -> bool:
    """Tell whether an exception is proof that nothing has left.

    A body that calls ``self.retry()`` raises what it has caught in other words.
    """
    if isinstance(error, Retry) and not isinstance(error, refused):
        cause = error.exc or error.__context__
        return isinstance(cause, refused)
    return isinstance(error, refused)


def _later(type: str, reason: str) -> Exception:
    """Have the running task delivered again after a while; return what tells Celery so.

    It keeps its id and does not use up its retries: that it is held is no failure of it.
    """
    if not current_task or current_task.request.called_directly or current_task.request.is_eager:
        return Stopped(f"{type} is held: {reason} It is no task of a worker, that could wait.")
    again = current_task.signature_from_request(
        countdown=TRIED_AGAIN_AFTER, retries=current_task.request.retries
    )
    again.apply_async()
    later: Exception = Retry(f"{type} is held: {reason}", when=TRIED_AGAIN_AFTER)
    return later


def _check(key: object, type: str | None, recipient: object, refused: object) -> None:
    """Refuse at import what could not be used when the task runs."""
    notification_of("any" if type is None else type, None if callable(key) else key)
    if not isinstance(recipient, str) and not callable(recipient):
        raise TypeError(
            f"recipient is a string, or a function of the task's arguments, not {recipient!r}."
        )
    if not isinstance(refused, tuple) or not all(map(_is_exception, refused)):
        raise TypeError(
            "refused is a tuple of the exceptions that prove that nothing has left, e.g. "
            f"refused=(ConnectionRefusedError,), not {refused!r}."
        )


def _is_exception(what: object) -> bool:
    return inspect.isclass(what) and issubclass(what, BaseException)


def _check_body(body: object) -> None:
    if issubclass(type(body), (Task, Proxy)):
        raise TypeError("@guarded stands under @shared_task or @app.task, next to the function.")
    if not inspect.isfunction(body):
        raise TypeError(f"@guarded() decorates a function, not {body!r}.")
    if any(asks(body) for asks in _RUNS_LATER):
        raise TypeError(
            f"{body.__qualname__} returns before its body has run; @guarded takes an ordinary "
            "function, as Celery does."
        )


_RUNS_LATER = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)
