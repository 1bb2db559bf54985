from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "example_project.tickets"

    def ready(self) -> None:
        from example_project.tickets import signals  # noqa: F401 (connects the receiver)
