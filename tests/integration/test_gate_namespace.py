"""A namespace that cannot be told: under a guessed one a key that is taken would be free."""

from __future__ import annotations

import pytest

from notifyguard.models import Claim, FrozenMessage
from tests.mailbox import letter, outcomes, rows

pytestmark = pytest.mark.django_db(transaction=True)


def no_tenant():
    raise LookupError("no tenant is active")


@pytest.fixture(params=[no_tenant, lambda: 7], ids=["raises", "no text"])
def without_tenant(mailbox, settings, request):
    settings.NOTIFYGUARD |= {"TYPES": {"reset": {"critical": True}}, "NAMESPACE": request.param}
    return mailbox


def test_what_has_a_key_is_held_with_its_body_and_takes_no_key(without_tenant):
    message = letter("ann@example.com", key="1")
    assert message.send() == 0
    assert outcomes(message) == {"ann@example.com": "held"}
    (row,) = rows()
    assert (row.rule, row.key) == ("namespace", None)
    assert "NAMESPACE" in row.reason
    assert FrozenMessage.objects.count() == 1
    assert not Claim.objects.exists()


def test_what_has_no_key_needs_no_namespace(without_tenant):
    assert letter("ann@example.com").send() == 1


def test_critical_mail_leaves_without_its_key(without_tenant):
    assert letter("ann@example.com", key="1", type="reset").send() == 1
    assert without_tenant.recipients() == ["ann@example.com"]
    (row,) = rows()
    assert (row.state, row.key) == ("sent", None)
