"""A block that changes what is known of the code inside it; a decorator of functions too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from notifyguard.context.ambient import AT_START, Ambient, current, innermost

P = ParamSpec("P")
R = TypeVar("R")


class Block(ContextDecorator):
    """A change of the ambient context, for a block or a function; threads may share one."""

    def __init__(self, change: Callable[[Ambient], Ambient]) -> None:
        self._change = change

    def __enter__(self) -> None:
        inside = current()
        changed = self._change(inside)
        innermost.set(replace(changed, around=innermost.get(), arrived=inside.arrived))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        innermost.set(innermost.get().around or AT_START)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:  # type: ignore[override]
        return wrapped(func, lambda: self)


def wrapped(func: Callable[P, R], block: Callable[[], Block]) -> Callable[P, R]:
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        # Its body runs after the call has returned: what it sends would get out.
        raise TypeError(
            f"{func.__qualname__} is a generator and runs outside of the block. Decorate the "
            "function that runs through it, or say it inside with a 'with' statement."
        )
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def in_block_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with block():
                return await func(*args, **kwargs)

        return in_block_async  # type: ignore[return-value]

    @functools.wraps(func)
    def in_block(*args: P.args, **kwargs: P.kwargs) -> R:
        with block():
            return func(*args, **kwargs)

    return in_block
