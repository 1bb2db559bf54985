"""A small ticket tracker with a newsletter, which really uses notifyguard."""

import os

if os.environ.get("EXAMPLE_BROKER"):  # else Celery need not be installed
    from example_project.celery import app as celery_app

    __all__ = ["celery_app"]
