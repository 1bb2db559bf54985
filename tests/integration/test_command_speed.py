"""What an operator looks at stays fast however large the ledger: no query reads it as a whole."""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.operators import operate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("postgresql")]

ROWS = """
INSERT INTO notifyguard_delivery (id, dispatch, type, recipient, state, attempt, rule, reason,
    origin, call_site, task_id, instance, backend, subject, message_id,
    created_at, changed_at, wake_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'type.' || n % 20, 'person' || n || '@example.com',
    CASE WHEN n % 50 = 0 THEN 'held' ELSE 'sent' END, 1,
    CASE WHEN n % 50 = 0 THEN 'switch' ELSE '' END, '', '', '', '', 'x', '', 'Subject', '',
    now() - interval '80 days' + n * interval '5 minutes', now(),
    CASE WHEN n % 50 = 0 THEN timestamptz '9000-01-01 00:00 UTC' END
FROM generate_series(1, 20000) n
"""

TABLE = "notifyguard_delivery"
WHY = ("--reason", "x")
LOOKS = [
    ("status",),
    ("status", "--since", "1h"),
    ("types",),
    ("held",),
    ("held", "type.1", "--list", "--limit", "200"),
    ("uncertain",),
    ("why", "person77@example.com"),
    ("why", "person77@example.com", "--since", "1h", "--type", "x.*"),
    ("hold", "--wait", *WHY),
    ("resume", *WHY),
    ("held", "--by", "age"),
    ("release", "--preview"),
    ("release", "--yes", "--later", "--limit", "3", *WHY),
    ("release", "--yes", "--canary", "3", "--to", "example.com", *WHY),
    ("releases",),
    ("discard-held", "--yes", "--limit", "3", *WHY),
]


@pytest.fixture(params=["analysed before the rows came", "never analysed"])
def large_ledger(full, request):
    """Twenty thousand rows of which the planner knows nothing, or something that was true once."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notifyguard_delivery SET (autovacuum_enabled = false)")
        # TRUNCATE, by which a test is cleaned up after, leaves them.
        cursor.execute(f"DELETE FROM pg_statistic WHERE starelid = '{TABLE}'::regclass")
        if "never" not in request.param:
            cursor.execute(ROWS.replace("% 50 = 0", "< 0"))  # nothing was held by then
            cursor.execute("ANALYZE notifyguard_delivery")
        cursor.execute(ROWS)
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notifyguard_delivery RESET (autovacuum_enabled)")


def test_no_query_reads_the_whole_ledger(large_ledger):
    for words in LOOKS:
        # The canary fails: these rows have no message. What it asked is what is looked at.
        with CaptureQueriesContext(connection) as queries, suppress(CommandError):
            operate(*words)
        for sql in (query["sql"] for query in queries):
            if sql.startswith("SELECT") and '"notifyguard_delivery"' in sql:
                plan = explained(sql)
                assert "Seq Scan on notifyguard_delivery" not in plan, (words, sql, plan)


def explained(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())
