"""Record the stored form of the corpus: ``python -m tests.compat``.

A recording changes only together with the version of the stored form: messages
that wait in somebody's tables were written by the released one.
"""

from __future__ import annotations

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.compat.recordings import record

    print(record())
