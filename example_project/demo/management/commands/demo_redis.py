import socket
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "A Redis that keeps nothing, until input closes. Prints ``ready <port>``."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("program", help="where redis-server is")

    def handle(self, *args: Any, **options: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = str(unused.getsockname()[1])
        quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", port]
        command = [options["program"], *quiet]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                if any("ready to accept" in line.lower() for line in server.stdout):
                    print("ready", port, flush=True)
                    sys.stdin.read()
            finally:
                server.terminate()
