"""A real SMTP server that accepts mail, writes it down and delivers nothing.

``python -m example_project.sink --journal FILE`` listens on a free loopback port,
prints ``ready <port>`` and serves until SIGTERM. The journal holds one JSON object
a line. It is the truth about what left: a line with ``"event": "accepted"`` is on
disk before the client is told 250, so it is there even if this process is killed
the moment after::

    at, begun     epoch seconds: the line was written, MAIL FROM came in
    from, to      the envelope (``to`` holds only recipients that were not refused)
    message_id, subject, x     headers; ``x`` maps each X-* name to its value
    blank         no part of the body holds anything but white space
    size, peer    bytes of the message, ``ip:port`` of the client

Everything else is a line with another event (``refused``, ``dropped``, ``hung``),
its ``phase`` and its envelope so far. Faults are asked for by the local part of
an address; whatever follows a ``+`` in it is free::

    refuse-sender@  (sender)  MAIL is answered 550
    refuse-550@     RCPT is answered 550
    busy-451@       RCPT is answered 451
    busy-once@      RCPT is answered 451 when this very address is first asked for
    data-554@       the message is refused with 554 at the final dot
    drop-before@    connection cut before the final reply; nothing was accepted
    drop-after@     accepted and journalled, then the connection is cut
    hang@           the final dot is never answered; nothing was accepted
    hang-after@     accepted and journalled, and never answered
    longquit@       accepted; the answer to QUIT is longer than clients allow
"""
