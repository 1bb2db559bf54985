from typing import Any

from django.db import migrations


def assess(apps: Any, schema_editor: Any) -> None:
    from tests.migrating.models import assess_all

    assess_all()


class Migration(migrations.Migration):
    dependencies = [("migrating", "0001_initial")]

    operations = [migrations.RunPython(assess, assess)]
