"""What waits in a table survives an upgrade of Django, and a step back."""

from __future__ import annotations

import django
import pytest

from notifyguard.channels.fingerprint import fingerprint
from notifyguard.channels.freezing import freeze, thaw
from tests.compat.corpus import CORPUS, inline_image
from tests.compat.recordings import read, written
from tests.compat.rendering import outline, wire


@pytest.mark.parametrize("name", CORPUS)
def test_every_django_freezes_to_the_recorded_form(name):
    assert written(freeze(CORPUS[name]())) == written(read(name))


@pytest.mark.parametrize("name", CORPUS)
def test_every_django_thaws_the_recorded_form_whole(name):
    thawed, built = thaw(read(name)), (inline_image if "image" in name else CORPUS[name])()
    # One message has no sender of its own: anymail knows it, Django cannot render it.
    for message in (thawed, built):
        message.extra_headers["From"] = "tickets@example.com"
    if name == "charset" and django.VERSION >= (6, 0):
        built.encoding = "iso-8859-1"  # Django 6 takes a Charset no more, and the thawed has none
    assert type(thawed) is type(built)
    assert thawed.recipients() == built.recipients()
    assert as_read(thawed) == as_read(built)


def as_read(message):
    """What a reader sees; where Django cannot render a message, how it fails."""
    rendered = wire(message)
    return outline(message) if isinstance(rendered, bytes) else rendered


@pytest.mark.parametrize("name", CORPUS)
def test_attributes_come_back_equal_and_of_the_same_type(name):
    thawed, built = vars(thaw(read(name))), vars(CORPUS[name]())
    assert thawed.keys() == built.keys()
    # Objects without equality are compared by their rendering, above.
    for attribute in built.keys() - {"attachments", "encoding"}:
        assert thawed[attribute] == built[attribute]
        assert repr(thawed[attribute]) == repr(plain(built[attribute]))


def plain(value):
    """Lazy and safe strings come back as the text they are."""
    return str.__str__(str(value)) if isinstance(value, str) or hasattr(value, "encode") else value


@pytest.mark.parametrize("name", CORPUS)
def test_fingerprint_is_the_same_under_every_django(name):
    assert fingerprint(thaw(read(name))) == fingerprint(CORPUS[name]())
