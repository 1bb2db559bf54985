"""``python -m example_project demo`` is ``python example_project/manage.py demo``."""

import sys

from example_project.manage import main

# Django would call itself "python -m django" in its messages.
sys.argv[0] = "python -m example_project"
main()
