import os
import sys
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management.base import BaseCommand, CommandParser
from django.core.wsgi import get_wsgi_application


class ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name there)
        """Say nothing: the demo's screen belongs to the demo."""


class Command(BaseCommand):
    help = "The web site in a process of its own. Prints ``ready <port>`` when it listens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="0 (default) picks a free one")
        parser.add_argument("--until-eof", action="store_true", help="end when input closes")

    def handle(self, *args: Any, **options: Any) -> None:
        site = StaticFilesHandler(get_wsgi_application())
        address = ("127.0.0.1", options["port"])
        with make_server(*address, site, ThreadedServer, QuietHandler) as server:
            print("ready", server.server_port, flush=True)
            if options["until_eof"]:
                Thread(target=stop_at_eof, args=(server,), daemon=True).start()
            server.serve_forever()


def stop_at_eof(server: WSGIServer) -> None:
    """End the site when whoever started it closes our input, or dies."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.shutdown()
