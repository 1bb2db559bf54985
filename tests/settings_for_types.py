"""Settings for mypy alone: every app of this repository at once, so that it knows all models."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as INSTALLED_IN_TESTS

INSTALLED_APPS = [
    *INSTALLED_IN_TESTS,
    "example_project.demo",
    "example_project.newsletter",
    "example_project.slips",
    "example_project.tickets",
    "tests.proof",
]
PROTOCOL = ""
USES_CELERY = False  # of the example project
