"""Celery: what a task sends leaves once, and what is enqueued while suppressed stays suppressed.

Installed by a second line in ``INSTALLED_APPS``: ``"notifyguard.contrib.celery"``.
"""

from notifyguard.contrib.celery.beat import beat_schedule

__all__ = ["beat_schedule"]
