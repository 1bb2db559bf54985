from typing import Any

from django.db import migrations


def assess(apps: Any, schema_editor: Any) -> None:
    # The incident's script used the tracker's own model and its save(), and so mailed everybody.
    # A model from apps.get_model() would not have fired the signal.
    from example_project.tickets.complexity import assess_all

    assess_all()


class Migration(migrations.Migration):
    # In one transaction, thousands of saves would lock the tracker for everyone else.
    atomic = False

    dependencies = [("tickets", "0002_ticket_complexity")]

    operations = [migrations.RunPython(assess, migrations.RunPython.noop)]
