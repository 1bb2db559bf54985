"""A stored message that cannot be read says why, and is never half read."""

from __future__ import annotations

import django
import pytest
from django.core.mail import EmailMessage

from notifyguard.channels.freezing import Frozen, freeze, thaw
from notifyguard.exceptions import CannotThaw
from tests.compat.corpus import attachments


def with_state(**state):
    payload = freeze(EmailMessage()).payload
    return Frozen({**payload, "state": {**payload["state"], **state}}, {})


@pytest.mark.parametrize("version", [2, None, "1"])
def test_unknown_version_is_named(version):
    frozen = freeze(EmailMessage())
    with pytest.raises(CannotThaw, match=f"form {version!r}"):
        thaw(Frozen({**frozen.payload, "v": version}, frozen.blobs))


def test_payload_without_a_version_is_refused():
    with pytest.raises(CannotThaw, match="None"):
        thaw(Frozen({}, {}))


def test_unknown_kind_is_named():
    with pytest.raises(CannotThaw, match="'quaternion'"):
        thaw(with_state(metadata={"$": "quaternion", "v": [1, 2, 3, 4]}))


def test_missing_content_is_named():
    frozen = freeze(attachments())
    gone = next(iter(frozen.blobs))
    with pytest.raises(CannotThaw, match=gone):
        thaw(Frozen(frozen.payload, {k: v for k, v in frozen.blobs.items() if k != gone}))


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"$": "date"},
        {"$": "date", "v": "yesterday"},
        {"$": "dict", "v": [1]},
        {"$": "attachment", "v": ["only a name"]},
        {"$": "decimal", "v": "x"},
        {"$": ["unhashable"], "v": 1},
        {"$": "message", "v": {}},
    ],
    ids=str,
)
def test_damaged_value_is_refused(damaged):
    with pytest.raises(CannotThaw):
        thaw(with_state(metadata=damaged))


@pytest.mark.parametrize("state", [None, [], {"to": {"$": "x"}}])
def test_damaged_state_is_refused(state):
    with pytest.raises(CannotThaw):
        thaw(Frozen({**freeze(EmailMessage()).payload, "state": state}, {}))


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 renders these")
def test_subtype_that_django_6_cannot_render_is_refused_and_its_default_is_not():
    with pytest.raises(CannotThaw, match="mixed_subtype = 'related'"):
        thaw(with_state(mixed_subtype="related"))
    thaw(with_state(mixed_subtype="mixed", alternative_subtype="alternative")).message()
