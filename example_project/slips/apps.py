from django.apps import AppConfig


class SlipsConfig(AppConfig):
    name = "example_project.slips"
