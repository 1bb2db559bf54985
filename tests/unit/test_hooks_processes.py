"""Threads, greenlets, event loops, child processes; coming late, and going without a trace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from django.core import mail

from tests.recording import recording_gate

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """
import multiprocessing, os, sys
import django
from django.conf import settings

def configure(**more):
    backend = "django.core.mail.backends.locmem.EmailBackend"
    chosen = (
        {"MAILERS": {"default": {"BACKEND": backend}}}
        if django.VERSION >= (6, 1) else {"EMAIL_BACKEND": backend}
    )
    settings.configure(INSTALLED_APPS=[], **chosen, **more)
    django.setup()

def send(subject="hello"):
    from django.core import mail
    return mail.send_mail(subject, "body", "from@example.com", ["to@example.com"])
"""


def run(body: str, tmp_path: Path, first: str = "") -> str:
    """Run the code in a process that knows nothing of this one, and return what it printed.

    From a file: a spawned child imports its parent's main module again.
    """
    script = tmp_path / "project.py"
    script.write_text(first + PROJECT + textwrap.dedent(body))
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def send(subject: str) -> int:
    return mail.send_mail(subject, "body", "from@example.com", ["to@example.com"])


def test_threads_ask() -> None:
    with recording_gate() as gate:
        threads = [threading.Thread(target=send, args=[str(number)]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(gate.subjects) == [str(number) for number in range(8)]


def test_a_running_event_loop_asks() -> None:
    async def view() -> int:
        return send("hello") + await asyncio.to_thread(send, "in a thread")

    with recording_gate() as gate:
        assert asyncio.run(view()) == 2
    assert gate.subjects == ["hello", "in a thread"]


@pytest.mark.needs("gevent")
def test_greenlets_ask(tmp_path) -> None:
    printed = run(
        """
        import gevent
        from tests.recording import recording_gate
        configure()
        with recording_gate() as gate:
            gevent.joinall([gevent.spawn(send, str(n)) for n in range(5)], raise_error=True)
        print(sorted(gate.subjects))
        """,
        tmp_path,
        # As gevent wants it: before anything else is imported.
        first="from gevent import monkey; monkey.patch_all()",
    )
    assert printed == "['0', '1', '2', '3', '4']"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_ask(method, tmp_path) -> None:
    printed = run(
        f"""
        def child(queue):
            # A spawned process starts from nothing, as any process of the project does.
            if not settings.configured:
                configure()
            from tests.recording import recording_gate
            with recording_gate() as gate:
                send()
            queue.put(gate.subjects)

        if __name__ == "__main__":
            configure()
            from notifyguard import hooks
            hooks.install()
            context = multiprocessing.get_context("{method}")
            queue = context.SimpleQueue()
            process = context.Process(target=child, args=[queue])
            process.start()
            print(queue.get())
            process.join()
        """,
        tmp_path,
    )
    assert printed == "['hello']"


def test_backends_imported_before_the_app_was_ready_ask(tmp_path) -> None:
    printed = run(
        """
        configure()
        from django.core.mail import EmailMessage, get_connection
        from django.core.mail.backends.base import BaseEmailBackend
        from django.core.mail.backends.locmem import EmailBackend

        class Early(BaseEmailBackend):
            def send_messages(self, email_messages):
                return 7

        class Earlier(Early):
            pass

        early, earlier, locmem = Early(), Earlier(), EmailBackend()
        held = EmailMessage("held", to=["to@example.com"])
        from tests.recording import recording_gate
        with recording_gate() as gate:
            for backend in early, earlier, locmem:
                print(backend.send_messages([held]), end=" ")
            held.send()
        print(gate.subjects)
        """,
        tmp_path,
    )
    assert printed == "7 7 1 ['held', 'held', 'held', 'held']"


def test_uninstall_leaves_every_attribute_of_django_as_it_was(tmp_path) -> None:
    printed = run(
        """
        configure()
        import importlib
        import inspect
        import pkgutil
        import django.core.mail.backends
        from notifyguard import hooks

        for found in pkgutil.iter_modules(django.core.mail.backends.__path__):
            importlib.import_module(f"django.core.mail.backends.{found.name}")

        def attributes():
            found = {}
            for name, module in list(sys.modules.items()):
                if not name.startswith("django."):
                    continue
                for attribute, value in vars(module).items():
                    found[name, attribute] = id(value)
                    if inspect.isclass(value) and value.__module__ == name:
                        for member, held in vars(value).items():
                            found[name, attribute, member] = id(held)
            return found

        # ABC caches and lazily made attributes are not ours; the first round settles them.
        hooks.install(); hooks.uninstall()
        before = attributes()
        hooks.install()
        hooks.install()
        during = attributes()
        hooks.uninstall()
        hooks.uninstall()
        assert attributes() == before, attributes().items() ^ before.items()
        changed = sorted({key for key, _ in during.items() ^ before.items()})
        print("\\n".join(".".join(key).removeprefix("django.") for key in changed))
        """,
        tmp_path,
    )
    changed = printed.splitlines()
    # That the comparison sees what is replaced, and that no more is replaced than meant.
    assert "core.mail.import_string" in changed
    assert "core.mail.backends.smtp.EmailBackend.send_messages" in changed
    assert len(changed) < 25, printed


def test_the_first_round_was_not_hiding_anything(tmp_path) -> None:
    printed = run(
        """
        configure()
        from django.core import mail
        from django.core.mail.backends import base, locmem, smtp
        from django.core.management.commands import loaddata, migrate
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.migrations.executor import MigrationExecutor
        owners = (mail, mail.EmailMessage, base.BaseEmailBackend, locmem.EmailBackend,
                  smtp.EmailBackend, BaseDatabaseWrapper, MigrationExecutor,
                  migrate.Command, loaddata.Command)
        before = [dict(vars(owner)) for owner in owners]
        from notifyguard import hooks
        hooks.install(); hooks.uninstall()
        print(all(dict(vars(owner)) == held for owner, held in zip(owners, before)))
        """,
        tmp_path,
    )
    assert printed == "True"


def test_what_somebody_put_over_ours_stays_and_asks_nothing_after_uninstall(tmp_path) -> None:
    printed = run(
        """
        configure()
        import functools
        from django.core.mail.backends.locmem import EmailBackend
        from notifyguard import hooks
        from tests.recording import recording_gate
        hooks.install()
        ours = EmailBackend.send_messages

        # wraps() copies our mark, too.
        @functools.wraps(ours)
        def theirs(self, messages):
            return ours(self, messages) + 10

        EmailBackend.send_messages = theirs
        with recording_gate() as gate:
            hooks.uninstall()
            print(send(), gate.subjects, EmailBackend.send_messages is theirs)
            hooks.install()
            # The gate is asked at theirs; ours within is met a second time, as a base's would be.
            print(send(), gate.subjects)
        """,
        tmp_path,
    )
    assert printed.splitlines() == ["11 [] True", "11 ['hello', 'hello']"]


@pytest.mark.parametrize(
    ("app", "module", "text"),
    [
        ("mailer", "models", "class Campaign: pass"),
        ("mailer", "views", ""),
        ("post_office", "mail", "def deliver(): pass"),
        ("post_office", "views", ""),
    ],
)
def test_an_app_of_the_projects_own_may_be_called_like_a_queue(app, module, text, tmp_path) -> None:
    package = tmp_path / app
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{module}.py").write_text(text)
    for backends in ("backend", "backends"):
        (package / f"{backends}.py").write_text(
            "from django.core.mail.backends.base import BaseEmailBackend\n"
            "class OurBackend(BaseEmailBackend): pass\n"
        )
    printed = run(
        f"""
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "{app}", "notifyguard"])
        django.setup()
        from {app} import backend, backends
        from notifyguard.channels.transport import is_queue
        from notifyguard.hooks import patching
        print(patching.installed(), *(is_queue(made.OurBackend()) for made in (backend, backends)))
        """,
        tmp_path,
    )
    assert printed == "True False False"
