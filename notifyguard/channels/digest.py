"""One message that tells of several held ones, rendered from the templates that a type names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from notifyguard import conf, hold, patterns
from notifyguard.channels.freezing import thaw
from notifyguard.exceptions import CannotThaw, DigestFailed

SUBJECT, TEXT, HTML = ".subject.txt", ".txt", ".html"
"""What is added to the name in the settings. Only the HTML may be missing."""


@dataclass(frozen=True, slots=True)
class Told:
    """A held message, as the templates see it.

    Attributes:
        subject: its subject.
        sent_at: when it was sent, and held.
        text: its plain text.
    """

    subject: str
    sent_at: datetime
    text: str


def compose(type: str, recipient: str, held: Sequence[tuple[UUID, datetime]]) -> Any:
    """Return the message that tells of held ones, the first of them first.

    Args:
        type: their notification type, which names the templates.
        recipient: whom they are for.
        held: of each, its dispatch and when it was sent.

    Raises:
        DigestFailed: a template is missing or fails, or a message cannot be restored.
    """
    messages = [(_restored(dispatch, type), sent_at) for dispatch, sent_at in held]
    try:
        return _composed(type, recipient, messages)
    except DigestFailed:
        raise
    except Exception as error:  # any: a class of messages is anybody's code
        text = f"Held messages of type {type} cannot be told in a digest"
        raise DigestFailed(f"{text}: {error.__class__.__name__}: {error}.") from error


def _composed(type: str, recipient: str, messages: Sequence[tuple[Any, datetime]]) -> Any:
    told = [Told(str(each.subject), at, str(each.body)) for each, at in messages]
    context = {"messages": told, "count": len(told), "recipient": recipient, "type": type}
    last = messages[-1][0]
    digest = EmailMultiAlternatives(
        " ".join(_render(type, SUBJECT, context).split()),
        _render(type, TEXT, context),
        last.from_email,
        [recipient],
        reply_to=list(last.reply_to or ()),  # None is as good to Django
    )
    if _has_html(type):
        digest.attach_alternative(_render(type, HTML, context), "text/html")
    return digest


def faults(name: str | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the templates of a digest: which part, and what.

    Args:
        name: as in the settings; ``None`` for no digest.
    """
    for part in (SUBJECT, TEXT, HTML) if name else ():
        try:
            get_template(f"{name}{part}")
        except TemplateDoesNotExist:
            if part != HTML:
                yield part, f'there is no template "{name}{part}"'
        except Exception as error:  # any: a template may load anybody's code
            yield part, f'the template "{name}{part}" cannot be loaded: {error}'


def _has_html(type: str) -> bool:
    try:
        get_template(f"{_name(type)}{HTML}")
    except TemplateDoesNotExist:
        return False
    except Exception as error:  # any: a template may load anybody's code
        raise DigestFailed(_fault(type, HTML, error)) from error
    return True


def _render(type: str, part: str, context: dict[str, Any]) -> str:
    try:
        return str(get_template(f"{_name(type)}{part}").render(dict(context)))
    except Exception as error:  # any: a template calls anybody's code
        raise DigestFailed(_fault(type, part, error)) from error


def _restored(dispatch: UUID, type: str) -> Any:
    frozen = hold.fetch(dispatch)
    try:
        if frozen is None:
            raise CannotThaw("its message is gone from the ledger's tables")
        return thaw(frozen)
    except CannotThaw as error:
        text = f"A held message of type {type} (dispatch {dispatch}) cannot be told in a digest"
        raise DigestFailed(f"{text}: {error}. Discard it, and go on.") from error


def _name(type: str) -> str | None:
    return conf.current().for_type(type).digest


def _fault(type: str, part: str, error: Exception) -> str:
    """Name the setting, its value, what is wrong and what to do."""
    types = conf.current().types
    named = [name for name in patterns.matching(types, type) if types[name].get("digest")]
    name = _name(type)
    missing = isinstance(error, TemplateDoesNotExist)
    what = f"there is no template {error}" if missing else f"{error.__class__.__name__}: {error}"
    return (
        f'NOTIFYGUARD["TYPES"]["{named[0]}"]["digest"] is "{name}", but "{name}{part}" cannot be '
        f"rendered: {what}. Correct the template, or take the setting out, and continue; until "
        "then these messages stay held."
    )
