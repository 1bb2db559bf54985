"""Imported once by the fork server, so that a worker is ready in milliseconds."""

import django

django.setup()
