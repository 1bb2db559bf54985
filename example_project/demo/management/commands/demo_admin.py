from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from example_project.demo.data import DEMO_PASSWORD, DEMO_USER
from example_project.demo.deployment import DemoError, ready
from example_project.demo.sites import database_file, running_site

PORT = 8765


def admin_url(port: int) -> str:
    """Return the address of the admin on this machine."""
    return f"http://127.0.0.1:{port}/admin/"


class Command(BaseCommand):
    help = "Serve the admin of the guarded project that a demo has left, until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scratch", type=Path, help="the folder that the demo has named")
        parser.add_argument("--port", type=int, default=PORT, help="0 picks a free one")

    def handle(self, *args: Any, **options: Any) -> None:
        scratch: Path = options["scratch"]
        if not database_file(scratch, guarded=True).exists():
            raise CommandError(f"{scratch} holds no demo; `demo --scratch FOLDER` makes one.")
        try:
            self.serve(scratch, options["port"])
        except DemoError as failure:
            raise CommandError(
                f"{failure}; if the port is taken, name another with --port."
            ) from failure
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")

    def serve(self, scratch: Path, port: int) -> None:
        """Serve the site, with a mail server for whatever is released in it."""
        with (
            running_site(scratch, guarded=True) as site,
            site.deployment.started("demo_web", "--until-eof", "--port", str(port)) as web,
        ):
            url = admin_url(int(ready(web)))
            self.stdout.write(f"{url} (log in as {DEMO_USER} with {DEMO_PASSWORD}; Ctrl-C ends it)")
            self.stdout.flush()  # whoever reads a pipe waits for this line
            web.wait()
