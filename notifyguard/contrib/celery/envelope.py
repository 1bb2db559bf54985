"""A task message as text: all that Celery would have handed to the broker, and back.

The body is what kombu made of it with the task's own serializer, and stays as it is: it is
not read here, so a body of pickle runs no code.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kombu import Exchange, Queue, serialization
from kombu.entity import binding
from kombu.utils import json

# How this one publish was to be done. What publishes it later has its own way.
_OF_THE_CALL = frozenset({"retry", "retry_policy", "timeout", "confirm_timeout", "serializer"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message and where it goes.

    Attributes:
        body: as it is sent.
        options: of ``kombu.Producer.publish``: headers, properties, exchange, routing key.
        declare: the queues and exchanges that must be there.
        expires_at: seconds since 1970 after which the broker may drop it.
    """

    body: str | bytes
    options: dict[str, Any]
    declare: list[Any]
    expires_at: float | None = None

    def options_now(self) -> dict[str, Any]:
        """Return the options, with what is left of its time: a broker counts from now on."""
        if self.expires_at is None:
            return self.options
        return self.options | {"expiration": max(0.0, self.expires_at - time.time())}


def written(body: Any, options: dict[str, Any]) -> str:
    """Return a message as text.

    Args:
        body: of the task, not serialized yet.
        options: that ``kombu.Producer.publish`` was called with.

    Raises:
        EncodeError: the task's serializer cannot write its body, as Celery would have said.
        TypeError, ValueError: a header or property cannot be written as JSON.
    """
    kept = {name: value for name, value in options.items() if name not in _OF_THE_CALL}
    content_type, content_encoding, data = serialization.dumps(body, options.get("serializer"))
    expiration = kept.pop("expiration", None)
    parts = {
        "body": data,
        "declare": [_entity_written(each) for each in kept.pop("declare", None) or ()],
        "expires_at": None if expiration is None else time.time() + expiration,
        "options": {
            **kept,
            "content_type": content_type,
            "content_encoding": content_encoding,
            "exchange": _name(kept.get("exchange")),
            "reply_to": _name(kept.get("reply_to")),
        },
    }
    return str(json.dumps(parts))


def read(text: str, known: dict[str, Queue]) -> Envelope:
    """Return the message that ``written`` wrote.

    Args:
        text: of it.
        known: the queues of the app that publishes it, as they are declared by now.
    """
    parts = json.loads(text)
    declare = [_entity_read(each, known) for each in parts["declare"]]
    return Envelope(parts["body"], parts["options"], declare, parts["expires_at"])


def stamps(text: str) -> dict[str, Any]:
    """Return the stamps of a written message."""
    return json.loads(text)["options"]["headers"].get("stamps") or {}


def _name(entity: Any) -> Any:
    return entity.name if isinstance(entity, (Exchange, Queue)) else entity


def _entity_written(entity: Queue | Exchange) -> dict[str, Any]:
    described = entity.as_dict(recurse=True)
    stated = {name: value for name, value in described.items() if value is not None}
    return {"kind": type(entity).__name__.lower(), **stated}


def _entity_read(described: dict[str, Any], known: dict[str, Queue]) -> Queue | Exchange:
    stated = dict(described)
    if stated.pop("kind") == "exchange":
        return Exchange(**stated)
    if stated["name"] in known:
        return known[stated["name"]]
    stated["bindings"] = [
        binding(**{**each, "exchange": Exchange(**each["exchange"])})
        for each in stated.get("bindings", ())
    ]
    if "exchange" in stated:
        stated["exchange"] = Exchange(**stated["exchange"])
    return Queue(**stated)
