"""``python -m example_project.sink``: the server itself."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from example_project import sink
from example_project.sink.journal import Journal, described

REFUSED_RECIPIENTS = {
    "refuse-550": "550 5.1.1 No such mailbox here",
    "busy-451": "451 4.3.0 Mailbox busy, try again",
}
BUSY_ONCE = "busy-once"
FAULTS_AT_THE_DOT = ("data-554", "drop-before", "drop-after", "hang", "hang-after", "longquit")
TOO_LONG_A_REPLY = "221 " + "x" * 10_000  # smtplib stops at 8192 bytes
PLAIN_ADDRESS = re.compile(r"<([\w.+=-]+@[\w.-]+)>(.*)", re.ASCII)


class FastSMTP(SMTP):
    """aiosmtpd without its full RFC 5322 parser where an address is a plain one.

    The parser costs a third of a message, and the sink must not be the bottleneck.
    """

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        plain = PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2]) if plain else super()._getaddr(arg)


class Recorder:
    """Decides the reply to each SMTP command (aiosmtpd's hooks) and journals it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._begun: WeakKeyDictionary[Envelope, float] = WeakKeyDictionary()
        self._long_quits: set[Any] = set()
        self._put_off: set[str] = set()

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if local_part(address) == "refuse-sender":
            self._journal.write("refused", phase="mail", **{"from": address, "to": []})
            return "550 5.7.1 Sender not welcome"
        self._begun[envelope] = time.time()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self._refusal(address):
            fields = {"from": envelope.mail_from, "to": [address]}
            self._journal.write("refused", phase="rcpt", **fields)
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fields = self._fields(session, envelope)
        fault = first_fault(envelope.rcpt_tos)
        if fault == "data-554":
            self._journal.write("refused", phase="dot", **fields)
            return "554 5.6.0 Content not welcome"
        if fault == "hang":
            self._journal.write("hung", phase="dot", **fields)
            await never()
        if fault == "drop-before":
            self._journal.write("dropped", phase="dot", **fields)
            await cut(server)
        self._journal.write("accepted", **fields)
        if fault == "hang-after":
            await never()
        if fault == "drop-after":
            await cut(server)
        if fault == "longquit":
            self._long_quits.add(session.peer)
        return "250 2.0.0 Accepted"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if session.peer in self._long_quits:
            self._long_quits.remove(session.peer)
            return TOO_LONG_A_REPLY
        return "221 2.0.0 Bye"

    def _refusal(self, address: str) -> str | None:
        if local_part(address) == BUSY_ONCE and address not in self._put_off:
            self._put_off.add(address)
            return REFUSED_RECIPIENTS["busy-451"]
        return REFUSED_RECIPIENTS.get(local_part(address))

    def _fields(self, session: Session, envelope: Envelope) -> dict[str, Any]:
        content = envelope.original_content or b""
        return {
            "begun": self._begun.get(envelope),
            "from": envelope.mail_from,
            "to": list(envelope.rcpt_tos),
            **described(content),
            "size": len(content),
            "peer": ":".join(map(str, (session.peer or ())[:2])),
        }


def local_part(address: str) -> str:
    """Return what stands before ``@``, without its ``+`` suffix."""
    return address.rpartition("@")[0].partition("+")[0]


def first_fault(recipients: list[str]) -> str | None:
    """Return the fault that the first such recipient asks for."""
    asked = (local_part(address) for address in recipients)
    return next((fault for fault in asked if fault in FAULTS_AT_THE_DOT), None)


async def never() -> None:
    """Wait until the client goes away: aiosmtpd then cancels the hook."""
    await asyncio.Future()


async def cut(server: SMTP) -> None:
    """Drop the connection without a word more."""
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()
    await never()


class Login:
    """Accepts one user name with one password, over plain text too."""

    def __init__(self, user_and_password: str) -> None:
        user, _, password = user_and_password.partition(":")
        self._accepted = LoginPassword(user.encode(), password.encode())

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        return AuthResult(success=data == self._accepted, handled=False)


async def serve(
    host: str, port: int, journal: Journal, *, login: Login | None, until_eof: bool
) -> None:
    """Accept connections until SIGTERM or, when asked, the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    recorder = Recorder(journal)

    def connection() -> SMTP:
        return FastSMTP(
            recorder,
            hostname="sink.invalid",  # else each connection would ask the resolver
            ident="notifyguard sink",
            loop=loop,
            authenticator=login,
            auth_required=login is not None,
            auth_require_tls=login is None,
        )

    server = await loop.create_server(connection, host, port, backlog=1024)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    if until_eof:
        threading.Thread(target=stop_at_eof, args=(loop, stop), daemon=True).start()
    await stop.wait()
    server.close()


def stop_at_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """End the server when whoever started it closes our input, or dies."""
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(stop.set)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(sink.__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--no-fsync", action="store_true", help="faster; not crash-safe")
    parser.add_argument("--until-eof", action="store_true", help="end when input closes")
    parser.add_argument("--login", metavar="USER:PASSWORD", help="require AUTH")
    options = parser.parse_args(arguments)
    journal = Journal(options.journal, fsync=not options.no_fsync)
    login = Login(options.login) if options.login else None
    asyncio.run(
        serve(options.host, options.port, journal, login=login, until_eof=options.until_eof)
    )
    journal.close()


if __name__ == "__main__":
    main()
