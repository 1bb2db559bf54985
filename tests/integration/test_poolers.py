"""Behind PgBouncer in transaction mode every statement may be another session's."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.mailbox import states
from tests.pgbouncer import pgbouncer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("postgresql"),
    pytest.mark.needs("pgbouncer"),
]

# What the project needs for code of its own, too.
BEFORE = """
settings.DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
settings.DATABASES["default"]["OPTIONS"] = {options}
"""
EVERYTHING = """
from django.core.management import call_command
from django.db import transaction
from notifyguard import sweeper
from notifyguard.decision import Sending
from tests.operators import night_in_the_admin

def operate(*words):
    call_command("notifyguard", *words, stdout=open(os.devnull, "w"))

print(send("ann", key="1", subject="A"), send("ann", key="1", subject="A"), send("plain"))
with transaction.atomic():
    print(send("deferred", key="2"), send("inside"))
try:
    with transaction.atomic():
        send("undone", key="3")
        raise KeyError
except KeyError:
    pass
print(batch(*[letter(f"p{n}@example.com", key=f"p{n}") for n in range(5)]))
operate("hold", "ticket.*", "--reason", "stop")
print(send("held", key="4"), send("again", key="5"))
operate("resume", "ticket.*", "--reason", "go on")
operate("release", "--reason", "go on", "--yes")
sweeper.sweep()
operate("uncertain"), operate("status"), operate("prune"), operate("types")
print(*night_in_the_admin(lambda: send("looked", key="6", subject="B")))
sweeper.sweep()
print("done")
"""


@pytest.fixture
def behind(mailbox, elsewhere, tmp_path):
    """Run code in a process that knows the database by a pooler; return what it said."""

    def run(body, *, size, options=None, **environment):
        with pgbouncer(tmp_path, size) as port:
            environment["NOTIFYGUARD_POSTGRESQL_PORT"] = str(port)
            environment["BEFORE"] = BEFORE.format(options=options or {})
            return elsewhere(body, **environment)

    return run


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"server_side_binding": True}], ids=["as usual", "binding"]
)
def test_everything_works_behind_a_pooler(behind, mailbox, size, options):
    said, log = behind(EVERYTHING, size=size, options=options)
    assert said == ["1", "0", "1", "1", "1", "5", "0", "0", "0", "0", "done"]
    assert "no connection beside" not in log
    people = ["again", "ann", "deferred", "held", "inside", "looked"]
    people += ["p0", "p1", "p2", "p3", "p4", "plain"]
    assert mailbox.recipients() == [f"{person}@example.com" for person in people]
    assert set(states()) == {"sent"}


CROWD = """
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from django.db import connection, transaction
from notifyguard.database import committed
from tests.connections import see_the_past
committed.PATIENCE = {patience}
together = Barrier({callers})
def caller(number):
    {before}
    try:
        with transaction.atomic():
            connection.ensure_connection()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            together.wait(10)
            return send(f"p{{number}}")
    finally:
        connection.close()
began = time.monotonic()
with ThreadPoolExecutor({callers}) as pool:
    print(*pool.map(caller, range({callers})))
print(time.monotonic() - began < {limit})
"""


def test_callers_that_hold_every_connection_do_not_wait_for_one_another(behind, mailbox):
    body = CROWD.format(before="", callers=2, patience=20, limit=10)
    said, log = behind(body, size=2)
    assert said == ["1", "1", "True"]
    assert "no connection beside" not in log
    assert states() == ["sent", "sent"]


def test_where_they_must_they_do_not_wait_long(behind, mailbox):
    body = CROWD.format(before="see_the_past()", callers=1, patience=1, limit=15)
    said, log = behind(body, size=1)
    assert said == ["1", "True"]
    assert "no connection beside" in log
    assert states() == ["sent"]


CUT = """
import psycopg
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
print(send("ann"))
switchboard.set_switch("*", Sending.HOLD, reason="stop", actor=unrestricted("me"))
cuts = []
def cut(execute, sql, params, many, context):
    if "INTO \\"notifyguard_delivery" in sql and not cuts:
        with psycopg.connect({direct!r}, autocommit=True) as direct:
            cuts.append(direct.execute(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'behind'"
            ).fetchone()[0])
    return execute(sql, params, many, context)
with connection.execute_wrapper(cut):
    print(send("bob", key="1"))
print(*cuts)
"""


def test_a_transaction_of_ours_that_was_cut_behind_the_pooler_is_done_again(behind, mailbox):
    settings = connection.get_connection_params()
    direct = " ".join(f"{name}={settings[name]}" for name in ("host", "port", "user", "dbname"))
    said, _ = behind(CUT.format(direct=direct), size=1, options={"application_name": "behind"})
    assert said == ["1", "0", "1"]
    assert states() == ["held", "sent"]
