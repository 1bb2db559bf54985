"""What the mail server has accepted, read from its journal while it writes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Journal:
    """What the mail server has accepted, by sender, as far as it was read."""

    path: Path
    accepted: Counter[str] = field(default_factory=Counter)
    read: int = 0

    def count(self, name: str) -> int:
        """Return how many of a contender's messages have arrived."""
        with self.path.open("rb") as journal:
            journal.seek(self.read)
            lines = journal.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self.read += len(line)
                self.accepted[json.loads(line)["from"].partition("@")[0]] += 1
        return self.accepted[name]
