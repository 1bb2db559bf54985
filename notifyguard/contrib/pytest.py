"""The pytest fixture ``guarded_mail``; pytest finds it by itself once notifyguard is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from notifyguard.testing import GuardedMail


@pytest.fixture
def guarded_mail(db: None) -> Iterator[GuardedMail]:
    """The real path inside the test, and assertions on what came of its mail."""
    # Not above: pytest loads this in every project, before Django is set up.
    from notifyguard import testing

    with testing.guarded_mail() as mail:
        yield mail
