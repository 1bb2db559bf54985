"""The settings Django's ``runtests.py`` runs with here: its own, and notifyguard or not.

``runtests.py`` sets ``INSTALLED_APPS`` from a list of its own and has no option for
more, so the list in the running script is lengthened.
"""

from __future__ import annotations

import os
import sys

from test_sqlite import *  # type: ignore[import-not-found]  # noqa: F403  # Django's own, beside runtests.py

MODE = os.environ["NOTIFYGUARD_SUITES_MODE"]
TEST_RUNNER = "tests.django_suites.runner.RecordingRunner"
NOTIFYGUARD = {
    "IN_TESTS": "full" if MODE in ("full", "allowed") else "light",
    # Django's tests send messages that say nothing, to see that they are sent.
    "DISABLED_RULES": ["blank"],
    "EXTRA_RULES": ["tests.django_suites.counting.count_judged"],
}

apps = sys.modules["__main__"].ALWAYS_INSTALLED_APPS
apps.append("tests.django_suites.apps.CountingConfig")
if MODE != "without":
    apps.append("notifyguard")
