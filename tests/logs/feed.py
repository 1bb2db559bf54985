"""Gives a mail server on the loopback interface the messages of the recorded logs.

``python tests/logs/feed.py PORT``; ``python tests/logs/feed.py --next-hop`` is the server
behind it, which accepts, refuses and puts off by the recipient (needs aiosmtpd).
"""

from __future__ import annotations

import smtplib
import socket
import sys
import threading

MESSAGES = (
    ("accepted.1", ["ann@accept.example.com"]),
    (
        "several.2",
        ["ann@accept.example.com", "bounce-bob@fail.example.com", "defer-cy@fail.example.com"],
    ),
    ("bounced.3", ["bounce-dan@fail.example.com"]),
    ("deferred.4", ["defer-eve@fail.example.com"]),
    ("down.5", ["fay@down.example.com"]),
    ("partly.6", ["ann@accept.example.com", "refused@example.com"]),
    ("refused.7", ["refused@example.com"]),
    ("Upper.8", ["Ann.Case@Accept.Example.com"]),
    ("plus+tag.9", ["ann+tag@accept.example.com"]),
    ("alias.11", ["alias@accept.example.com"]),
)
CUT = "cut.10"
TEXT = "Subject: x\r\nMessage-ID: <{}@app.example.com>\r\nFrom: shop@example.com\r\n\r\nhi\r\n"
ACCEPTING, FAILING = 2601, 2602  # nothing listens at 2603


def feed(port: int) -> None:
    """Send every message, and one of which the connection is cut in the middle."""
    for name, recipients in MESSAGES:
        with smtplib.SMTP("127.0.0.1", port, "app.example.com") as server:
            try:
                server.sendmail("shop@example.com", recipients, TEXT.format(name))
            except smtplib.SMTPRecipientsRefused:
                pass
    with socket.create_connection(("127.0.0.1", port)) as cut, cut.makefile("rwb") as talk:
        talk.readline()
        for line in (
            "HELO app.example.com",
            "MAIL FROM:<shop@example.com>",
            "RCPT TO:<ann@accept.example.com>",
            "DATA",
        ):
            talk.write(f"{line}\r\n".encode())
            talk.flush()
            talk.readline()
        talk.write(TEXT.format(CUT)[:-4].encode())


class Failing:
    """Answers by the recipient."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("bounce"):
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        if address.startswith("defer"):
            return f"450 4.2.0 <{address}>: Recipient address rejected: Greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 Ok: queued as 12345"


class Accepting:
    """Accepts everything."""

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 Ok: queued as 12345"


def next_hop() -> None:
    """Serve until it is ended."""
    from aiosmtpd.controller import Controller

    for handler, port in ((Accepting(), ACCEPTING), (Failing(), FAILING)):
        Controller(handler, hostname="127.0.0.1", port=port).start()
    threading.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "--next-hop":
        next_hop()
    else:
        feed(int(sys.argv[1]))
