"""The screenshots of the documentation: ``python -m tests.screenshots``.

They are taken in Chromium, of the pages as they are, with a ledger of their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"


def main() -> int:
    """Take all of them; return the exit status."""
    import pytest

    os.environ["NOTIFYGUARD_SCREENSHOTS"] = str(FOLDER)
    FOLDER.mkdir(exist_ok=True)
    return int(
        pytest.main(["-q", "-p", "no:xdist", "tests/browser/test_screenshots.py", *sys.argv[1:]])
    )


if __name__ == "__main__":
    sys.exit(main())
