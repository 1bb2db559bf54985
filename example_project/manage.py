"""The example project's command line."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the management command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    # Started as a script, Python looks beside this file; the packages are one folder up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
