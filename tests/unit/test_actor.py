"""Who may do what: one list, told to Django, to readers and to the code that does it."""

from __future__ import annotations

import re

import pytest
from django.apps import apps

from notifyguard.actor import MAX_NAME, Actor, Permission, unrestricted
from notifyguard.exceptions import NotAllowed
from tests.settings import BASE_DIR

PAGE = (BASE_DIR / "docs/reference/permissions.md").read_text()


def models():
    """Every model of ours; the Celery integration is an app of its own."""
    return [
        model
        for app in ("notifyguard", "notifyguard_celery")
        for model in apps.get_app_config(app).get_models()
    ]


@pytest.mark.needs("celery")
def test_every_permission_is_one_that_django_creates():
    created = {
        f"{model._meta.app_label}.{codename}"
        for model in models()
        for codename, _ in model._meta.permissions
    }
    assert created == {permission.label for permission in Permission}


@pytest.mark.needs("celery")
def test_every_permission_is_on_the_page():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == {
        *(permission.value for permission in Permission),
        *(
            f"{action}_{model._meta.model_name}"
            for model in models()
            for action in model._meta.default_permissions
        ),
    }


@pytest.mark.parametrize("name", ["", "  "])
def test_nobody_acts_without_a_name(name):
    with pytest.raises(NotAllowed, match="Say who"):
        unrestricted(name)


def test_a_name_fits_into_the_record():
    assert Actor(f" {'x' * 200} ", frozenset()).name == "x" * MAX_NAME


def test_a_refusal_names_the_missing_permission():
    with pytest.raises(NotAllowed, match=r"ann .* notifyguard\.release_held"):
        Actor("ann", frozenset({Permission.READ_BODY})).must_have(Permission.RELEASE_HELD)
