"""What is decided when the ledger fails: before the mail leaves, after it, in an event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import textwrap

import pytest
from django.db import DatabaseError, InterfaceError, connection, transaction

from notifyguard.exceptions import LedgerUnavailable
from tests.mailbox import batch, letter, rows, states
from tests.services import chosen_database

pytestmark = pytest.mark.django_db(transaction=True)

DOWN = {
    "NOTIFYGUARD_POSTGRESQL_PORT": "1",
    "NOTIFYGUARD_MARIADB_PORT": "1",
}
if chosen_database() == "sqlite":
    DOWN = {"NOTIFYGUARD_DB_NAME": f"{os.sep}nowhere{os.sep}ledger.sqlite3"}


def test_with_the_database_down_only_critical_mail_leaves(mailbox, elsewhere):
    said, log = elsewhere(
        """
        print(send("plain"), send("keyed", key="1"))
        print(send("reset", type="auth.password_reset"), send("now", type="now"))
        print(batch(letter("silent@example.com"), silent=True) or 0)
        """,
        **DOWN,
    )
    assert said == ["LedgerUnavailable", "LedgerUnavailable", "1", "1", "0"]
    assert mailbox.recipients() == ["now@example.com", "reset@example.com"]
    assert "sent without a record" in log
    assert "@example.com" not in log


def test_with_the_database_down_what_settings_stop_is_stopped(mailbox, elsewhere):
    said, log = elsewhere(
        """
        reset = {"type": "auth.password_reset"}
        with notifyguard.suppressed("auth.*", reason="backfill"):
            print(send("suppressed", **reset))
        os.environ["NOTIFYGUARD_SENDING"] = "hold"
        print(send("environment", **reset))
        del os.environ["NOTIFYGUARD_SENDING"]
        settings.NOTIFYGUARD["SENDING"] = "discard"
        print(send("settings", **reset))
        """,
        **DOWN,
    )
    assert said == ["0", "0", "0"]
    assert mailbox.accepted() == []
    assert log.count("no ledger") == 2


def test_without_tables_mail_leaves_as_if_not_installed_and_it_is_said_once(
    mailbox, elsewhere, tmp_path
):
    """New code before its first migrate, on a database without our tables."""
    said, log = elsewhere(
        """
        from django.db import connections
        print(send("plain"), send("keyed", key="1"), send("keyed", key="1"))
        with notifyguard.suppressed(reason="backfill"):
            print(send("suppressed"))
        settings.NOTIFYGUARD["SENDING"] = "hold"
        print(send("held"))
        """,
        NOTIFYGUARD_DB="sqlite",
        NOTIFYGUARD_DB_NAME=str(tmp_path / "empty.sqlite3"),
    )
    assert said == ["1", "1", "1", "0", "0"]
    assert mailbox.recipients() == ["keyed@example.com"] * 2 + ["plain@example.com"]
    assert log.count("tables do not exist") == 1


READ_ONLY = {
    "sqlite": """
        settings.DATABASES["default"]["NAME"] = f"file:{connection.settings_dict['NAME']}?mode=ro"
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"]
        connection.settings_dict["OPTIONS"] = {"uri": True}
    """,
    "postgresql": """
        connection.settings_dict["OPTIONS"]["options"] = "-c default_transaction_read_only=on"
    """,
    "mariadb": """
        connection.settings_dict["OPTIONS"]["init_command"] = "SET SESSION TRANSACTION READ ONLY"
    """,
}


def test_with_a_read_only_database_only_critical_mail_leaves(mailbox, elsewhere):
    prepared = textwrap.dedent(READ_ONLY[chosen_database()])
    body = """
print(send("plain"), send("keyed", key="1"), send("reset", type="auth.password_reset"))
try:
    letter("why@example.com").send()
except Exception as error:
    print(error)
"""
    said, _ = elsewhere(prepared + body)
    assert said[:3] == ["LedgerUnavailable", "LedgerUnavailable", "1"]
    why = " ".join(said[3:])
    assert 'The database "default" says: ' in why
    assert re.search("(?i)read.?only", why), why
    assert "manage.py check --database default" in why
    assert mailbox.recipients() == ["reset@example.com"]
    assert rows() == []


def _refusing(fragment, error=DatabaseError):
    """The database refuses statements of a kind: those that ``fragment`` is part of."""

    def refuse(execute, sql, params, many, context):
        if fragment in sql:
            raise error("refused by the test")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(refuse)


CONFIRM = "SET state = %s, rule"


# What psycopg 2 says of a connection that is closed is no DatabaseError.
errors = pytest.mark.parametrize("error", [DatabaseError, InterfaceError])


@errors
def test_a_confirm_that_fails_is_no_error_for_what_has_left(mailbox, caplog, error):
    with caplog.at_level(logging.ERROR, "notifyguard"), _refusing(CONFIRM, error):
        assert letter("ann@example.com", key="1", subject="Hello").send() == 1
    assert "could not confirm" in caplog.text
    assert states() == ["in_flight"]  # the sweeper makes it uncertain
    assert letter("ann@example.com", key="1", subject="Hello").send() == 0
    assert mailbox.recipients() == ["ann@example.com"]


@errors
def test_a_mark_that_fails_sends_nothing_of_the_batch(mailbox, error):
    with _refusing("INSERT INTO notifyguard_claim", error), pytest.raises(LedgerUnavailable):
        batch(letter(key=1), letter(key=2))
    assert mailbox.accepted() == []
    assert rows() == []


@errors
def test_a_row_that_fails_in_a_transaction_sends_nothing(mailbox, error):
    with transaction.atomic(), _refusing("notifyguard_delivery", error):
        for key in (None, 1):
            with pytest.raises(LedgerUnavailable):
                letter(key=key).send()
    assert mailbox.accepted() == []
    assert rows() == []


def test_a_running_event_loop_is_no_obstacle(mailbox):
    async def main():
        return letter("ann@example.com", key="1", subject="Hello").send()

    assert asyncio.run(main()) == 1
    assert asyncio.run(main()) == 0
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


def test_the_ledger_can_be_in_memory_also_in_a_running_loop(mailbox, elsewhere):
    said, _ = elsewhere(
        """
        from django.core.management import call_command
        call_command("migrate", verbosity=0)
        import asyncio
        async def main(): return send("loop")
        print(send("plain"), asyncio.run(main()))
        """,
        NOTIFYGUARD_DB="sqlite",
        NOTIFYGUARD_DB_NAME=":memory:",
    )
    assert said == ["1", "1"]


def test_the_last_known_switches_hold_critical_mail_when_the_database_goes(mailbox, elsewhere):
    said, log = elsewhere(
        """
        from notifyguard.actor import unrestricted
        from notifyguard.decision import Sending
        switchboard.set_switch("auth.*", Sending.HOLD, reason="stop", actor=unrestricted("me"))
        print(send("before", type="auth.password_reset"))
        connection.close()
        connection.settings_dict.update({"PORT": "1", "NAME": "/nowhere/ledger"})
        print(send("after", type="auth.password_reset"), send("plain"))
        """
    )
    assert said == ["0", "0", "LedgerUnavailable"]
    assert "marked and not handed over" not in log  # nothing was
    assert mailbox.accepted() == []
