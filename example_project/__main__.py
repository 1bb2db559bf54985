"""``python -m example_project demo`` is ``python example_project/manage.py demo``."""

from example_project.manage import main

main()
