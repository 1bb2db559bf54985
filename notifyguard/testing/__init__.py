"""For the tests of a project: the real path, and assertions on what came of its mail.

Under Django's test environment notifyguard is light and writes nothing. Inside
``guarded_mail()`` it works as in production: ledger, keys, switches and rules.
With pytest ask for the fixture ``guarded_mail``, in a test class of Django put
``NotifyguardTestMixin`` first; both give a ``GuardedMail``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.test import override_settings

from notifyguard import conf, switchboard
from notifyguard.testing.assertions import GuardedMail
from notifyguard.testing.rehearsal import Rehearsal

if TYPE_CHECKING:
    from django.test import SimpleTestCase as _Base
else:
    _Base = object

__all__ = ["GuardedMail", "NotifyguardTestMixin", "Rehearsal", "guarded_mail"]


@contextmanager
def guarded_mail() -> Iterator[GuardedMail]:
    """Switch on the real path inside; the test must have access to the database.

    ``settings.NOTIFYGUARD`` is as the project has it, with ``IN_TESTS`` set to ``"full"``.
    """
    written = getattr(settings, conf.NAME, None) or {}
    # Switches of a test that was rolled back may still be remembered.
    switchboard.forget()
    with override_settings(**{conf.NAME: {**written, "IN_TESTS": "full"}}):
        try:
            yield GuardedMail()
        finally:
            switchboard.forget()


class NotifyguardTestMixin(_Base):
    """Gives the tests of a class ``self.guarded_mail``; goes before Django's class.

    With ``TestCase`` mail is sent inside the test's transaction; to see keyed mail
    wait for a commit, and to run migrations, use ``TransactionTestCase``.
    """

    guarded_mail: GuardedMail

    def setUp(self) -> None:
        super().setUp()
        self.guarded_mail = self.enterContext(guarded_mail())
