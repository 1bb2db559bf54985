"""The Celery apps of this process, and the tasks that they know."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from celery import _state

_imported: WeakSet[Any] = WeakSet()


def apps_by_name() -> dict[str, Any]:
    """Return the Celery apps that were made in this process; of two of one name the current.

    Where the project's own was never imported there is only Celery's fallback, "default", if
    anything has asked for the current app.
    """
    apps = {app.main or "": app for app in _state._get_active_apps()}
    if _state.default_app is not None:
        current = _state.get_current_app()
        apps[current.main or ""] = current
    return apps


def projects_own() -> list[Any]:
    """Return the apps that the project made."""
    return [app for app in apps_by_name().values() if not _is_fallback(app)]


def tasks_of(app: Any) -> list[Any]:
    """Return the tasks of an app that are known before a worker runs, by name; not Celery's own.

    Their modules are imported, as a worker of the app would, where that did not happen yet.
    What a worker could not import is left out: it says so itself.
    """
    if app not in _imported and not app.loader.worker_initialized:
        _imported.add(app)
        _import_modules(app)
    app.finalize()
    return [task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")]


def _import_modules(app: Any) -> None:
    # Not by Celery's own signal: its receivers run Django's checks, which are running now.
    try:
        app.autodiscover_tasks(force=True)
        for module in app.loader.default_modules:
            app.loader.import_task_module(module)
    except Exception:  # a project's module may raise anything
        return


def _is_fallback(app: Any) -> bool:
    return app.main == "default" and not app.fixups
