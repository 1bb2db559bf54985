"""The signatures inside of a task message: what is run after it, by whoever runs it.

They are published by the worker that ran the task, in the context that came with the task.
A worker that is still without notifyguard, in the middle of a deploy, knows none; so where
something was said it is written on each of them too. On copies: the project's own
signatures may be used again, outside of any block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from notifyguard.context import travelling
from notifyguard.context.travelling import Said
from notifyguard.contrib.celery.header import HEADER

_IN_MESSAGE = ("callbacks", "errbacks", "chain", "chord")
_IN_OPTIONS = ("link", "link_error", "chain", "chord")
# Of the signatures that are made of signatures; those of others are a task's own arguments.
_IN_ARGUMENTS = {"chain": ("tasks",), "group": ("tasks",), "chord": ("header", "body")}


def body_with(body: Any, said: Said) -> Any:
    """Return the body of a task message with what was said on each signature in it.

    Args:
        body: of Celery's message protocol 2, a tuple whose last part holds the signatures,
            or of protocol 1, a dict.
        said: where the task is published; its due time is the task's own.
    """
    if not said.suppressions and not said.notification:
        return body
    said = replace(said, due_at=None, behind=())
    if isinstance(body, dict):
        return _with(body, _IN_MESSAGE, said)
    *arguments, signatures = body
    return (*arguments, _with(signatures, _IN_MESSAGE, said))


def _with(parts: Mapping[str, Any], names: tuple[str, ...], said: Said) -> dict[str, Any]:
    marked = {name: _marked(parts[name], said) for name in names if parts.get(name)}
    return {**parts, **marked}


def _marked(part: Any, said: Said) -> Any:
    if isinstance(part, Mapping):
        return _signature_with(part, said)
    return [_marked(each, said) for each in part]


def _signature_with(signature: Mapping[str, Any], said: Said) -> dict[str, Any]:
    options = _with(signature.get("options") or {}, _IN_OPTIONS, said)
    headers = options.get("headers") or {}
    if HEADER in headers:
        said = travelling.joined(travelling.read(headers[HEADER]), said)
    options["headers"] = {**headers, HEADER: travelling.written(said)}
    names = _IN_ARGUMENTS.get(signature.get("subtask_type") or "", ())
    arguments = _with(signature.get("kwargs") or {}, names, said)
    return {**signature, "options": options, "kwargs": arguments}
