from typing import Any

from django.db import migrations


def inform(apps: Any, schema_editor: Any) -> None:
    from example_project.tickets.announcements import inform_owners

    inform_owners()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tickets", "0003_assess_complexity")]

    operations = [migrations.RunPython(inform, migrations.RunPython.noop)]
