from django.apps import AppConfig


class MigratingConfig(AppConfig):
    """A project's app whose data migrations mail: tests install it where they need it."""

    name = "tests.migrating"
    default_auto_field = "django.db.models.BigAutoField"
