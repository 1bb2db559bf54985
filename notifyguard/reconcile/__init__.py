"""Uncertain deliveries compared with what the mail server's own log says.

lines      the lines of log files: plain, compressed, rotated, from journald
postfix    what Postfix says of a message and a recipient
exim       what Exim says
reading    the evidence in a log for the messages that are looked for
findings   what that proves of each delivery, and writing it down
"""

from notifyguard.reconcile.findings import Findings, Proof, compare, settle, wanted
from notifyguard.reconcile.reading import Evidence, read

__all__ = ["Evidence", "Findings", "Proof", "compare", "read", "settle", "wanted"]
