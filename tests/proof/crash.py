"""kill -9 at a named step: before or after the n-th call of a function of the code under test.

Only the test process is touched, and only in memory: the product has no hook for it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Kill:
    """Die ``before`` or after (``before=False``) the ``call``-th call of ``step``."""

    step: str
    before: bool
    call: int = 1

    def __str__(self) -> str:
        return f"{'before' if self.before else 'after'} {self.step.removeprefix('notifyguard.')}"


def steps(modules: Iterable[str]) -> list[str]:
    """The dotted names of all public functions and methods that the modules define."""
    return [f"{module.__name__}:{name}" for module in _modules(modules) for name in _named(module)]


def arm(kill: Kill) -> None:
    """Make the step of ``kill`` deadly for this process."""
    _replace(kill.step, lambda original: _deadly(original, kill))


def tally(steps: Iterable[str]) -> Counter[str]:
    """Count from now on how often this process calls each step."""
    calls: Counter[str] = Counter()
    for step in steps:
        _replace(step, lambda original, step=step: _counted(original, step, calls))  # type: ignore[misc]
    return calls


def _replace(step: str, wrapper: Callable[[Function], Function]) -> None:
    """Put a wrapped function in place of a step, wherever it was imported to."""
    module_name, _, path = step.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original = inspect.getattr_static(owner, name)
    wrapped = wrapper(original)
    setattr(owner, name, wrapped)
    importers = [m for n, m in sys.modules.items() if n.startswith(("notifyguard", "tests.proof"))]
    for module in importers:
        for alias in [a for a, value in vars(module).items() if value is original]:
            setattr(module, alias, wrapped)


def _counted(original: Function, step: str, calls: Counter[str]) -> Function:
    @wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[step] += 1
        return original(*args, **kwargs)

    return counted


def _deadly(original: Function, kill: Kill) -> Function:
    calls = 0

    @wraps(original)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if kill.before and calls == kill.call:
            die()
        result = original(*args, **kwargs)
        if not kill.before and calls >= kill.call:
            die()
        return result

    return deadly


def die() -> None:
    """No clean-up, no ``finally``, no flush: what a power cut leaves behind."""
    os.kill(os.getpid(), signal.SIGKILL)


def _modules(names: Iterable[str]) -> Iterator[ModuleType]:
    for name in names:
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        yield module
        for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
            yield importlib.import_module(f"{name}.{found.name}")


def _named(module: ModuleType) -> Iterator[str]:
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if _callable(value):
            yield name
        elif inspect.isclass(value):
            yield from (
                f"{name}.{method}"
                for method, function in sorted(vars(value).items())
                if not method.startswith("_") and _callable(function)
            )


def _callable(value: object) -> bool:
    """A generator function returns before it has done anything: it is no step."""
    return inspect.isfunction(value) and not inspect.isgeneratorfunction(value)
