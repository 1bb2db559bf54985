"""The ledger's database: which connection, whose transaction, what may be retried.

Everything notifyguard reads or writes goes to ``NOTIFYGUARD["DATABASE"]``, past
routers and replicas.
"""

from notifyguard.database.committed import beside, close_beside, read_committed
from notifyguard.database.jumping import last_of_each
from notifyguard.database.searching import begins
from notifyguard.database.shape import missing
from notifyguard.database.standing import (
    Standing,
    alias,
    connection,
    in_memory,
    standing,
    testcase_is_elsewhere,
)
from notifyguard.database.transactions import ATTEMPTS, retrying, short_transaction

__all__ = [
    "ATTEMPTS",
    "Standing",
    "alias",
    "begins",
    "beside",
    "close_beside",
    "connection",
    "in_memory",
    "last_of_each",
    "missing",
    "read_committed",
    "retrying",
    "short_transaction",
    "standing",
    "testcase_is_elsewhere",
]
