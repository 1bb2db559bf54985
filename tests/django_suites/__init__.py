"""Django's own test suites, run with and without notifyguard and compared.

``python -m tests.django_suites`` in an environment with the Django to be tested;
see ``docs/how-to/django-suites.md``.
"""

SUITES = ("mail", "logging_tests", "middleware", "auth_tests", "test_client", "test_utils")
"""The suites in which mail, or a transaction that could send some, takes part."""

DATABASELESS = ("mail", "logging_tests", "middleware")
"""Those whose mail is sent by classes that forbid the database, and may as well allow it."""
