from typing import Any

from django.db import migrations, models


def add_tickets(apps: Any, schema_editor: Any) -> None:
    Ticket = apps.get_model("migrating", "Ticket")
    Ticket.objects.bulk_create(Ticket(owner=f"owner{n}@example.com") for n in range(3))


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            "Ticket",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("owner", models.EmailField(max_length=254)),
                ("complexity", models.PositiveSmallIntegerField(null=True)),
            ],
        ),
        migrations.RunPython(add_tickets, migrations.RunPython.noop),
    ]
