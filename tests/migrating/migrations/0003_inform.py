from typing import Any

from django.db import migrations

from notifyguard.operations import Unsuppress


def assess_and_inform(apps: Any, schema_editor: Any) -> None:
    from tests.migrating.models import assess_all, inform_owners

    assess_all()  # these mails are none of the announcement
    inform_owners()


class Migration(migrations.Migration):
    dependencies = [("migrating", "0002_assess"), ("notifyguard", "0001_initial")]

    operations = [
        Unsuppress(
            "ticket.announcement",
            reason="owners should know of the new field",
            operations=[
                migrations.RunPython(assess_and_inform, migrations.RunPython.noop, elidable=True)
            ],
        ),
    ]
